"""The classes of the four blueprints ask for what the blueprints ask for, and send nothing else."""

from dataclasses import MISSING, fields
from typing import Any

import pilotage_client
import pytest
from pilotage_blueprints import shipped
from pilotage_client import (
    BackupOrchestrationWorkflow,
    DisasterRecoveryWorkflow,
    EnvironmentProvisioningWorkflow,
    PilotageClient,
    SafeUpgradeWorkflow,
    Workflow,
)
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.parameters import resolve_parameters

BLUEPRINTS: dict[str, Blueprint] = {each.id: each for name, text in shipped() for each in load_blueprints(text, name)}
AS_SPECIFIED: list[Workflow] = [
    EnvironmentProvisioningWorkflow(environment_name="production-api", container_count=5, service_type="api"),
    BackupOrchestrationWorkflow(backup_retention_days=30, backup_compression=True),
    SafeUpgradeWorkflow(upgrade_type="rolling", maintenance_window="off-hours"),
    DisasterRecoveryWorkflow(recovery_type="full", validation_level="comprehensive"),
]


@pytest.mark.parametrize("workflow", AS_SPECIFIED, ids=lambda each: each.blueprint)
def test_its_blueprint_takes_its_parameters(workflow: Workflow) -> None:
    given = workflow.parameters()
    assert "more" not in given
    resolved = resolve_parameters(BLUEPRINTS[workflow.blueprint], given)
    assert {name: resolved[name] for name in given} == given


@pytest.mark.parametrize("workflow", AS_SPECIFIED, ids=lambda each: each.blueprint)
def test_its_defaults_are_those_of_the_blueprint(workflow: Workflow) -> None:
    asked = BLUEPRINTS[workflow.blueprint].parameters
    for each in fields(workflow):
        if each.name != "more" and each.default is not MISSING:
            assert each.default == asked[each.name].default, each.name


class Recorder(PilotageClient):
    """Answers as a coordinator would and keeps what it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    async def make_plan(self, blueprint: str | None = None, **more: Any) -> Any:
        self.sent.append(("plan", blueprint, more["parameters"]))
        return {"digest": "sha256:1"}

    async def start_run(self, blueprint: str | None = None, **more: Any) -> Any:
        self.sent.append(("start", blueprint, more["parameters"], more["reason"]))
        return {"execution": "exe_1"}

    async def watch_run(self, execution: str, **more: Any) -> Any:
        self.sent.append(("watch", execution))
        for number in (1, 2):
            yield {"sequence": number}

    async def show_run(self, execution: str, **more: Any) -> Any:
        self.sent.append(("show", execution))
        return {"id": execution, "state": "completed"}


async def test_a_run_is_started_once_and_waited_for() -> None:
    client = Recorder()
    workflow = BackupOrchestrationWorkflow(7, more={"drill": False})
    parameters = {"backup_retention_days": 7, "backup_compression": True, "drill": False}
    assert (await workflow.plan(client))["digest"] == "sha256:1"
    assert (await workflow.run(client, reason="tonight"))["state"] == "completed"
    assert client.sent == [
        ("plan", "fleet_backup_orchestration", parameters),
        ("start", "fleet_backup_orchestration", parameters, "tonight"),
        ("watch", "exe_1"),
        ("show", "exe_1"),
    ]


def test_a_parameter_is_not_given_twice() -> None:
    workflow = BackupOrchestrationWorkflow(more={"backup_retention_days": 3})
    with pytest.raises(ValueError, match="`more` repeats backup_retention_days"):
        workflow.parameters()


def test_every_public_name_is_there() -> None:
    assert all(getattr(pilotage_client, name) for name in pilotage_client.__all__)
