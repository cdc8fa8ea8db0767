"""A secret's name that turns up at run time where a step would take it as text: nothing is sent."""

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.domain.plan import FailureKind, Json
from pilotage_plugins.command.run import CommandRun

from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_drift import ANNOUNCED, Site, site

__all__ = ["site"]


async def test_an_attempt_with_a_misplaced_secret_is_never_sent(site: Site) -> None:
    announced: dict[str, Json] = {**ANNOUNCED, "params_schema": CommandRun.Params.model_json_schema()}
    site.inventory.set_reported("h1", HostInventory({}, (announced,)))
    await site.start(plan(leaf("a", "h1", parameters={"argv": ["${{ 'secret:' + '//s/x' }}"]})))
    await site.executor.close()
    assert site.sent == []
    run = (await site.executor.state("exe_1")).run(RunKey("a", "h1"))
    assert run.failure_kind == FailureKind.PARAMETER
    assert "parameters.argv[0]" in run.error
    assert "`env`" in run.error
    assert "`secret_files`" in run.error
