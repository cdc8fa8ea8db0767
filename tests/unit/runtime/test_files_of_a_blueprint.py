"""An attempt carries the text of the file that its step names."""

from dataclasses import replace

from pilotage_coordinator.domain.blueprint_files import key_of

from tests.unit.engine.build import leaf, plan
from tests.unit.runtime.test_drift import Site, site

__all__ = ["site"]

TEXT = "echo ${{ nobody.knows }}"


async def test_an_attempt_is_sent_with_the_text_and_recorded_with_the_name(site: Site) -> None:
    step = leaf("a", "h1", parameters={"file": "x.sh", "args": ["${{ host.name }}"]}, files={"file": key_of(TEXT)})
    await site.start(replace(plan(step), files={key_of(TEXT): TEXT}))
    await site.executor.close()
    (sent,) = site.fleet.sent
    assert sent.parameters == {"file": {"name": "x.sh", "text": TEXT}, "args": ["h1"]}
    row = await site.store.executions.attempt(sent.key)
    assert row.parameters == {"file": "x.sh", "args": ["h1"]}
