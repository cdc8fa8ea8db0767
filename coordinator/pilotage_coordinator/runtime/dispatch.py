"""Open attempts, by host: from the committed intent to the assignment on the host's stream, and what is fenced."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.run import OpenAttempt
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import Assignment
from pilotage_coordinator.runtime.fleet_port import FleetPort, HostUnreachable
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.secrets import SecretVault, secret_names
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.sealing import attempt_context, seal

log = structlog.get_logger("workflow_engine")


class CannotDispatch(Exception):
    """The attempt cannot be sent, and trying again later is useless without a person: the text says why."""


@dataclass(slots=True)
class Dispatcher:
    """Sends attempts to hosts, and remembers under which epoch each open one was assigned."""

    port: FleetPort
    vault: SecretVault
    inventory: LiveInventory
    epoch: int
    epochs: dict[str, dict[AttemptKey, int]] = field(default_factory=dict)
    """Host to its open attempts, each with the epoch of its newest assignment."""

    def opened(self, key: AttemptKey, epoch: int) -> None:
        """Note that an attempt is open."""
        self.epochs.setdefault(key.host, {})[key] = epoch

    def ended(self, key: AttemptKey) -> None:
        """Note that an attempt is over."""
        attempts = self.epochs.get(key.host)
        if attempts is not None:
            attempts.pop(key, None)
            if not attempts:
                del self.epochs[key.host]

    def open_on(self, host: str) -> Mapping[AttemptKey, int]:
        """Return the host's open attempts and their epochs."""
        return self.epochs.get(host, {})

    def epoch_of(self, key: AttemptKey) -> int | None:
        """Return the epoch of an open attempt's assignment; None when it is not open."""
        return self.epochs.get(key.host, {}).get(key)

    async def assign(self, state: ExecutionState, attempt: OpenAttempt, key: AttemptKey) -> None:
        """Queue an assignment for its host; raises CannotDispatch when a secret it needs cannot be given."""
        step = state.step(attempt.run.path)
        secrets: dict[str, bytes] = {}
        names = secret_names(attempt.parameters)
        if names:
            secrets = await self._seal(key, names)
        host = self.inventory.get(key.host)
        self.port.assign(
            Assignment(
                key=key,
                epoch=self.epochs.get(key.host, {}).get(key, self.epoch),
                plan_digest=state.plan.digest,
                step_type=step.type.name if step.type else "",
                effect=step.effect,
                parameters=attempt.parameters,
                outputs=attempt.outputs,
                secrets=secrets,
                timeout=step.timeout,
                host_variables=host.vars if host else {},
                sensitive_outputs=step.sensitive_outputs,
            )
        )

    def cancel(self, attempt: OpenAttempt, key: AttemptKey) -> None:
        """Queue a cancel for an open attempt's host."""
        epoch = self.epoch_of(key)
        self.port.cancel(key, self.epoch if epoch is None else epoch, attempt.cancel_reason or "cancelled")

    async def _seal(self, key: AttemptKey, names: frozenset[str]) -> dict[str, bytes]:
        try:
            recipient = self.port.sealing_key(key.host)
            return {
                name: seal(recipient, await self.vault.reveal(name), attempt_context(key, name))
                for name in sorted(names)
            }
        except (DomainError, SecurityError, HostUnreachable) as error:
            raise CannotDispatch(str(error)) from error
