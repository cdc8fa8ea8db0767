"""The four shipped blueprints as classes: what each asks for, by name and type, and three ways to use it.

    async with PilotageClient() as client:
        execution = await BackupOrchestrationWorkflow(backup_retention_days=30).run(client)

They hold no rule of their own: the coordinator checks the parameters, and refuses what the blueprint refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from pilotage_client import answers
from pilotage_client.client import PilotageClient


@dataclass(frozen=True, slots=True)
class Workflow:
    """A blueprint with its parameters. `more` gives further parameters of the blueprint by name."""

    blueprint: ClassVar[str]

    def parameters(self) -> dict[str, Any]:
        """Return all parameters, as the blueprint takes them."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        more: Mapping[str, Any] = named.pop("more", {})
        if twice := sorted(named.keys() & more.keys()):
            raise ValueError(f"{type(self).__name__}: `more` repeats {', '.join(twice)}")
        return {**named, **more}

    async def plan(self, client: PilotageClient) -> answers.Plan:
        """Return what would happen, host by host; nothing changes."""
        return await client.make_plan(self.blueprint, parameters=self.parameters())

    async def start(
        self, client: PilotageClient, *, reason: str = "", idempotency_key: str | None = None
    ) -> answers.Started:
        """Plan it and start that plan; returns at once. The same key starts it once, however often it is sent."""
        return await client.start_run(
            self.blueprint, parameters=self.parameters(), reason=reason, idempotency_key=idempotency_key
        )

    async def run(self, client: PilotageClient, *, reason: str = "") -> answers.ExecutionDetail:
        """Start it, wait for its end, and return the execution: look at its `state`.

        An execution that waits for a person is waited for, too.
        """
        started = await self.start(client, reason=reason)
        async for _ in client.watch_run(started["execution"]):
            pass
        return await client.show_run(started["execution"])


@dataclass(frozen=True, slots=True)
class EnvironmentProvisioningWorkflow(Workflow):
    """Make an environment of containers on each host that is meant for it."""

    blueprint: ClassVar[str] = "environment_provisioning"

    environment_name: str
    container_count: int = 3
    service_type: str = "api"
    more: Mapping[str, Any] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class BackupOrchestrationWorkflow(Workflow):
    """Back up a fleet, prove it, prune it, and restore one host's backups to compare them."""

    blueprint: ClassVar[str] = "fleet_backup_orchestration"

    backup_retention_days: int = 30
    backup_compression: bool = True
    more: Mapping[str, Any] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class SafeUpgradeWorkflow(Workflow):
    """Bring a container to another image on each host, and back when it is not well."""

    blueprint: ClassVar[str] = "safe_container_upgrade"

    upgrade_type: str = "rolling"
    maintenance_window: str = ""
    more: Mapping[str, Any] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class DisasterRecoveryWorkflow(Workflow):
    """Rebuild lost hosts on those that replace them."""

    blueprint: ClassVar[str] = "disaster_recovery"

    recovery_type: str = "full"
    validation_level: str = "comprehensive"
    more: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
