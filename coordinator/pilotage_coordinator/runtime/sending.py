"""Sends what is due to agents, and what was sent before again, each under the present epoch."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import OpenAttempt
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import FailureKind, Place
from pilotage_coordinator.engine.due import Due, attempt_key, due_on
from pilotage_coordinator.engine.world import World
from pilotage_coordinator.runtime.background import Background
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.dispatch import AnotherMachine, CannotDispatch, Dispatcher, MisplacedSecret
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.live import LiveExecution
from pilotage_coordinator.runtime.projection import ASSIGNED, CANCELLING
from pilotage_coordinator.runtime.reconciliation import forgotten
from pilotage_coordinator.runtime.restoration import held as held_by_restore
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.records import AttemptUpdate
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")


@dataclass(slots=True)
class Sending:
    """What goes out to agents; what never can is ended here, without its agent."""

    dispatcher: Dispatcher
    world: World
    clock: Clock
    epoch: int
    failpoints: Failpoints
    background: Background
    give: Callable[[str, i.Input], None]
    """Gives an execution in memory an input that nobody waits for."""
    _held: set[str] = field(default_factory=set)
    """Executions with attempts that were not sent because of a restore."""
    _holding: set[str] = field(default_factory=set)
    """Executions that are to be held, though the store does not have it yet."""

    async def after(self, live: LiveExecution, todo: Due) -> None:
        """Send what has just become due, what a restore held until now, and what waited for credit."""
        await self.release(live)
        await self.send(live, todo)
        await self.refill()

    async def again(self, live: LiveExecution, host: str, held: Collection[AttemptKey]) -> None:
        """Send what is open on a host, each under the present epoch; later, while the store refuses the new fence."""
        try:
            await self.fence(live, self._to_send_again(live, host, held))
        except StoreError as error:
            log.error("attempts.not_fenced", execution=live.id, host=host, error=str(error))
            self.background.in_a_moment(lambda: self.again(live, host, held), f"send {live.id} again to {host}")
            return
        await self.send(live, self._to_send_again(live, host, held))

    def hold(self, execution: str, yes: bool) -> None:
        """Send nothing of an execution, whatever it is paused for; or what it is paused for decides again."""
        if yes:
            self._holding.add(execution)
        else:
            self._holding.discard(execution)

    def holds(self, state: ExecutionState) -> bool:
        """Return whether a restore keeps what is due from being sent."""
        return state.id in self._holding or held_by_restore(state.pause_reason)

    async def release(self, live: LiveExecution) -> None:
        """Send what was held by a restore, and is no more, to the hosts that are there; the others get it with their
        sessions."""
        if live.id not in self._held or self.holds(live.state):
            return
        self._held.discard(live.id)
        for host in sorted(live.state.by_host):
            if self.world.online(host):
                self.background.spawn(self.again(live, host, ()), f"release {live.id} to {host}")

    def _to_send_again(self, live: LiveExecution, host: str, held: Collection[AttemptKey]) -> Due:
        todo = due_on(live.state, host)
        if self.holds(live.state):
            # Nor fenced: what the agent has of it may end meanwhile, and its result is good.
            self._held.add(live.id)
            return Due(cancel=todo.cancel)
        return Due(tuple(each for each in todo.assign if attempt_key(live.state, each) not in held), todo.cancel)

    async def fence(self, live: LiveExecution, todo: Due) -> None:
        """Give attempts that are sent again, and that an earlier process of ours assigned, the present epoch, durably.

        Their agent adopts it with what is sent, so a result of the earlier assignment, which may still be on its way,
        is told again under the new one. A fence without a sending would shut the only result out.
        """
        statuses = {attempt_key(live.state, attempt): ASSIGNED for attempt in todo.assign}
        statuses.update({attempt_key(live.state, attempt): CANCELLING for attempt in todo.cancel})
        stale = {
            key: status for key, status in statuses.items() if self.dispatcher.epoch_of(key) not in (None, self.epoch)
        }
        if stale:
            updates = tuple(AttemptUpdate(key, status, epoch=self.epoch) for key, status in stale.items())
            await live.submit(None, updates=updates)
            for key in stale:
                if self.dispatcher.epoch_of(key) is not None:
                    self.dispatcher.opened(key, self.epoch)

    def give_up(self, live: LiveExecution, absent: Collection[AttemptKey]) -> None:
        """End the attempts that their agent began and has forgotten: they are not sent again under their number."""
        for key in absent:
            attempt = live.state.open.get(RunKey(key.path, key.host, key.item)) if key.execution == live.id else None
            epoch = self.dispatcher.epoch_of(key)
            if epoch is not None and attempt is not None and attempt.started:
                # The agent may still hold it as accepted.
                self.dispatcher.port.cancel(key, self.epoch, "made again under a new number")
                self.give(live.id, i.AttemptEnded(forgotten(key, epoch, self.clock.now())))

    async def send(self, live: LiveExecution, todo: Due) -> None:
        """Send attempts, and words to stop others."""
        for attempt in todo.assign:
            if on_host(live.state, attempt):
                await self._assign(live.state, attempt)
            else:
                self._decline(live.state, attempt, "this step type cannot run on the coordinator")
        for attempt in todo.cancel:
            self.dispatcher.cancel(attempt, attempt_key(live.state, attempt))

    async def _assign(self, state: ExecutionState, attempt: OpenAttempt) -> None:
        """Send an attempt, and never fail: what cannot be sent is declined, or tried again later.

        One that an earlier process assigned is sent once its host's session has opened and given it the present epoch:
        an agent declines what is sent under an epoch below the one that it has seen.
        """
        if self.holds(state):
            self._held.add(state.id)
            return
        if self.dispatcher.epoch_of(attempt_key(state, attempt)) not in (None, self.epoch):
            return
        try:
            await self.dispatcher.assign(state, attempt, attempt_key(state, attempt))
        except MisplacedSecret as error:
            self._end(state, attempt, Outcome.DECLINED, FailureKind.PARAMETER, str(error))
        except CannotDispatch as error:
            self._decline(state, attempt, str(error))
        except AnotherMachine as error:
            self._end(state, attempt, Outcome.INTERRUPTED, FailureKind.TARGET, str(error))
        except StoreError as error:
            log.error("attempt.not_sent", attempt=str(attempt_key(state, attempt)), error=str(error))
            self.background.in_a_moment(lambda: self._assign(state, attempt), f"send again for {state.id}")
        self.failpoints.reach("coordinator.assignment.queued")

    async def refill(self) -> None:
        """Send what waited for credit."""
        while (waiting := self.dispatcher.next_waiting()) is not None:
            await self._assign(*waiting)
            self.dispatcher.look_at(waiting[1].run.host)

    def note_open(self, state: ExecutionState, run: RunKey) -> None:
        """Note an attempt that was planned, also one that is to be stopped before it was ever sent."""
        attempt = state.open.get(run)
        if attempt is not None:
            self.dispatcher.opened(attempt_key(state, attempt), self.epoch)

    def _decline(self, state: ExecutionState, attempt: OpenAttempt, reason: str) -> None:
        """End an attempt that was never sent, and never will be."""
        self._end(state, attempt, Outcome.DECLINED, FailureKind.POLICY, reason)

    def _end(
        self, state: ExecutionState, attempt: OpenAttempt, outcome: Outcome, kind: FailureKind, reason: str
    ) -> None:
        """End an attempt without its agent."""
        report = AttemptReport(
            key=attempt_key(state, attempt),
            epoch=self.epoch,
            outcome=outcome,
            failure_kind=kind,
            error=reason,
            ended_at=self.clock.now(),
        )
        self.give(state.id, i.AttemptEnded(report))


def on_host(state: ExecutionState, attempt: OpenAttempt) -> bool:
    """Return whether an agent makes the attempt."""
    return bool(attempt.run.host) and state.step(attempt.run.path).place is Place.HOST
