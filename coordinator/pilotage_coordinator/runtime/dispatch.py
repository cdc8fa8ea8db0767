"""Open attempts, by host: from the committed intent to the assignment on the host's stream, and what is fenced."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.blueprint_files import with_files
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.run import OpenAttempt
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import Assignment
from pilotage_coordinator.domain.plan import PlannedStep
from pilotage_coordinator.domain.planning.drift import host_drift
from pilotage_coordinator.domain.secret_places import misplaced, refusal, resolved_names
from pilotage_coordinator.runtime.fleet_port import FleetPort, HostUnreachable
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.secrets import SecretUse, SecretVault
from pilotage_coordinator.runtime.signed_plans import SignedPlans, wants_signed_plans
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.sealing import attempt_context, seal
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")


MOST_SENT = 20_000
MOST_AT_A_HOST = 256
"""More than an agent works on at once; what one slow agent may hold of the coordinator's memory is bounded by it."""


class CannotDispatch(Exception):
    """The attempt cannot be sent, and trying again later is useless without a person: the text says why."""


class MisplacedSecret(CannotDispatch):
    """A parameter came to a reference to a secret where the step type would take it as text."""


class AnotherMachine(Exception):
    """The host's name has passed to another machine since the attempt was planned; the first may have begun it."""


@dataclass(slots=True)
class Dispatcher:
    """Sends attempts to hosts, and remembers under which epoch each open one was assigned."""

    port: FleetPort
    vault: SecretVault
    inventory: LiveInventory
    signed_plans: SignedPlans
    epoch: int
    credit: int = MOST_SENT
    """How many attempts may be with agents, or on the way, at the same time; the others wait here in order."""
    host_credit: int = MOST_AT_A_HOST
    """How many of them may be with one agent."""
    epochs: dict[str, dict[AttemptKey, int]] = field(default_factory=dict)
    """Host to its open attempts, each with the epoch of its newest assignment."""
    _sent: dict[str, set[AttemptKey]] = field(default_factory=dict)
    """Host to the attempts that were given to its present session."""
    _sent_count: int = 0
    _waiting: dict[str, dict[AttemptKey, tuple[ExecutionState, OpenAttempt]]] = field(default_factory=dict)
    """Host to the attempts that wait for credit, in their order. One without credit is passed over."""
    _hungry: dict[str, None] = field(default_factory=dict)
    """Hosts with waiting attempts and credit of their own, the one that was served longest ago first."""

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
        self._no_longer_waits(key)
        sent = self._sent.get(key.host)
        if sent is not None and key in sent:
            sent.remove(key)
            self._sent_count -= 1
            self.look_at(key.host)

    def host_left(self, host: str) -> None:
        """Take back the credit of what was sent to a host: all of it is sent again when it returns."""
        self._sent_count -= len(self._sent.pop(host, ()))
        self._waiting.pop(host, None)
        self._hungry.pop(host, None)

    def open_on(self, host: str) -> Mapping[AttemptKey, int]:
        """Return the host's open attempts and their epochs."""
        return self.epochs.get(host, {})

    def epoch_of(self, key: AttemptKey) -> int | None:
        """Return the epoch of an open attempt's assignment; None when it is not open."""
        return self.epochs.get(key.host, {}).get(key)

    async def assign(self, state: ExecutionState, attempt: OpenAttempt, key: AttemptKey) -> None:
        """Send an attempt to its host, once there is credit for it; to a host without a session nothing is sent.

        Raises CannotDispatch when a secret that it needs cannot be given, AnotherMachine when its host has become
        another one, StoreError when the store cannot be read.
        """
        has_credit = self._sent_count < self.credit and self._has_credit(key.host)
        if not has_credit and key not in self._sent.get(key.host, ()):
            self._waiting.setdefault(key.host, {})[key] = (state, attempt)
            self.look_at(key.host)
            return
        await self._deliver(state, attempt, key)

    def next_waiting(self) -> tuple[ExecutionState, OpenAttempt] | None:
        """Return an attempt that has waited for credit and has it now, the hosts in turn.

        Assign it then, and `look_at` its host again: what was sent counts only afterwards.
        """
        if not self._hungry or self._sent_count >= self.credit:
            return None
        host = next(iter(self._hungry))
        del self._hungry[host]
        key = next(iter(self._waiting[host]))
        waiting = self._waiting[host][key]
        self._no_longer_waits(key)
        return waiting

    def _has_credit(self, host: str) -> bool:
        return len(self._sent.get(host, ())) < self.host_credit

    def look_at(self, host: str) -> None:
        """Put a host among the hungry if it has something to be sent, and credit."""
        if host in self._waiting and self._has_credit(host):
            self._hungry.setdefault(host)

    def _no_longer_waits(self, key: AttemptKey) -> None:
        waiting = self._waiting.get(key.host)
        if waiting is None:
            return
        waiting.pop(key, None)
        if not waiting:
            del self._waiting[key.host]
            self._hungry.pop(key.host, None)

    async def _deliver(self, state: ExecutionState, attempt: OpenAttempt, key: AttemptKey) -> None:
        step = state.step(attempt.run.path)
        machine = self.inventory.get(key.host)
        drift = host_drift(state.plan, step, machine) if machine is not None else None
        if drift is not None and drift.other_machine and drift.change not in state.accepted:
            raise AnotherMachine(drift.text)
        names = self._secrets_for(key, step.type.name if step.type else "", attempt)
        try:
            secrets = await self._seal(state, step, key, names) if names else {}
        except HostUnreachable:
            return
        wants = wants_signed_plans(machine)
        try:
            signed_plan, planned_step = await self.signed_plans.of(state, key.path, key.host) if wants else (None, b"")
        except DomainError as error:
            raise CannotDispatch(f"{key.host} wants plans signed, and the plan cannot be shown: {error}") from error
        epoch = self.epoch_of(key)
        # One of an earlier epoch is fenced first, when its host's session is ready: the agent would decline it unread.
        if epoch != self.epoch or not self.port.online(key.host):
            return
        host = self.inventory.get(key.host)
        self.port.assign(
            Assignment(
                key=key,
                epoch=epoch,
                plan_digest=state.plan.digest,
                step_type=step.type.name if step.type else "",
                effect=step.effect,
                parameters=with_files(attempt.parameters, step.files, state.plan.files),
                outputs=attempt.outputs,
                secrets=secrets,
                timeout=step.timeout,
                host_variables=host.vars if host else {},
                sensitive_outputs=step.sensitive_outputs,
                planned_step=planned_step,
                signed_plan=signed_plan,
            )
        )
        sent = self._sent.setdefault(key.host, set())
        if key not in sent:
            sent.add(key)
            self._sent_count += 1

    def cancel(self, attempt: OpenAttempt, key: AttemptKey) -> None:
        """Queue a cancel for an open attempt's host. One of an earlier epoch waits for the fence, as in `assign`."""
        if self.epoch_of(key) in (None, self.epoch):
            self.port.cancel(key, self.epoch, attempt.cancel_reason or "cancelled")

    def _secrets_for(self, key: AttemptKey, step_type: str, attempt: OpenAttempt) -> frozenset[str]:
        """Return the secrets whose values the step asks for; raises MisplacedSecret when it would get one's name."""
        host = self.inventory.get(key.host)
        info = host.step_types.get(step_type) if host else None
        schema = info.params_schema if info else {}
        if places := misplaced(attempt.parameters, schema):
            raise MisplacedSecret(f"{places[0]}: {'; '.join(refusal(step_type, schema))}")
        return resolved_names(attempt.parameters, schema)

    async def _seal(
        self, state: ExecutionState, step: PlannedStep, key: AttemptKey, names: frozenset[str]
    ) -> dict[str, bytes]:
        recipient = self.port.sealing_key(key.host)
        plan, step_type = state.plan, step.type.name if step.type else ""
        use = SecretUse(plan.blueprint, plan.category, step_type, self.inventory.get(key.host), state.id)
        try:
            return {
                name: seal(recipient, await self.vault.reveal(name, use), attempt_context(key, name))
                for name in sorted(names)
            }
        except (DomainError, SecurityError) as error:
            raise CannotDispatch(str(error)) from error
