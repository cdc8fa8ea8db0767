"""Runs executions: starts them, feeds them what happens, sends what is due, and picks all of it up after a crash."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.codec import decode
from pilotage_coordinator.domain.execution.events import AttemptFinished, AttemptPlanned, Event
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import OpenAttempt
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.fleet import AttemptReport, LogPiece, Outcome
from pilotage_coordinator.domain.plan import FailureKind, Json, Place, Plan
from pilotage_coordinator.domain.planning.answers import answers_of, with_answers
from pilotage_coordinator.engine.due import Due, attempt_key, due, due_after, due_on, next_wakeup
from pilotage_coordinator.engine.evolve import fold
from pilotage_coordinator.engine.world import World
from pilotage_coordinator.runtime.beside import beside
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.dispatch import AnotherMachine, CannotDispatch, Dispatcher
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.live import LiveExecution
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.projection import ASSIGNED, CANCELLING, Position, count_runs
from pilotage_coordinator.runtime.projection import attempt_key as key_of_event
from pilotage_coordinator.runtime.reconciliation import forgotten
from pilotage_coordinator.runtime.restoration import RESTORED
from pilotage_coordinator.runtime.second_redaction import SecondRedaction, UnknownAttempt
from pilotage_coordinator.runtime.sensitive import referring
from pilotage_coordinator.runtime.timers import Timers
from pilotage_coordinator.store.errors import NotFound, StoreError, StoreUnavailable
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import (
    AnswerRecord,
    AttemptUpdate,
    AuditEntry,
    EventRecord,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    Progress,
    SecretRecord,
)
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")

EVENTS_AT_ONCE = 5000
RETRY_PAUSE = 2.0
"""Seconds after which an input that the store did not take is given again."""


class Fenced(DomainError):
    """A result belongs to an earlier assignment of its attempt; its agent tells it again under the newest."""


@dataclass(frozen=True, slots=True)
class Start:
    """What is asked when an execution is to begin. Its plan must be stored."""

    execution: str
    plan: Plan
    requested_by: str
    reason: str = ""
    inputs: ExecutionInputs = field(default_factory=ExecutionInputs)
    answer: AnswerRecord | None = None
    """The answer to remember under the request's idempotency key."""
    audit: tuple[AuditEntry, ...] = ()
    secrets: tuple[SecretRecord, ...] = ()
    """The sensitive parameters, encrypted; stored with the execution and removed with it."""


@dataclass(slots=True)
class Executor:
    """All executions that are not over, in memory; the store has them all."""

    store: Store
    dispatcher: Dispatcher
    world: World
    clock: Clock
    epoch: int
    redaction: SecondRedaction
    failpoints: Failpoints = field(default_factory=Failpoints)
    restored: bool = False
    """Whether the store was restored from a backup: what was under way then is held until somebody resumes it."""
    _live: dict[str, LiveExecution] = field(default_factory=dict)
    _loading: dict[str, "asyncio.Task[LiveExecution | None]"] = field(default_factory=dict)
    _tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)
    _progress: dict[str, dict[RunKey, tuple[float | None, str]]] = field(default_factory=dict)
    _held: set[str] = field(default_factory=set)
    """Executions with attempts that were not sent because of the restore."""
    _doubtful: set[str] = field(default_factory=set)
    """Executions whose newest state is to be read from the store again in a moment."""
    _timers: Timers = field(init=False)
    plans: PlanShelf = field(init=False)
    recovered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once every execution that is not over is in memory."""

    def __post_init__(self) -> None:
        self._timers = Timers(self.clock, self._ring)
        self.plans = PlanShelf(self.store.plans)

    # --- life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then keep time until cancelled."""
        await self.recover()
        for host in [host for host in self.dispatcher.epochs if self.dispatcher.inventory.get(host) is None]:
            # It was revoked, and the process died before all knew.
            await self.forsake(host)
        await self._timers.run()

    async def recover(self) -> None:
        """Load every execution that is not over. Sessions wait for this before they are reconciled."""
        for execution in await self.store.executions.active():
            try:
                await self._recover(execution)
            except Exception:
                # One that cannot be read must not keep the others, and every host, waiting.
                log.exception("execution.unreadable", execution=execution.id)
        self.recovered.set()
        log.info("executions.recovered", count=len(self._live), epoch=self.epoch)

    async def _recover(self, execution: ExecutionRecord) -> None:
        live = await self.find(execution.id)
        if live is None:
            return
        if live.position.sequence == 0:
            # The process died between creating the execution and beginning it.
            self.later(live, i.Begin(seed=execution.id, requested_by=execution.requested_by))
        if self.restored:
            self.later(live, i.PauseRequested("coordinator", RESTORED))
        if live.position.sequence:
            self.later(live, i.Recovered())

    async def close(self) -> None:
        """Finish the commits that are under way; steps that run on hosts are not disturbed."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what people ask --------------------------------------------------------------------------------------

    async def start(self, start: Start) -> None:
        """Create an execution and begin it; returns once both are durable."""
        record = ExecutionRecord(
            id=start.execution,
            blueprint_id=start.plan.blueprint.id,
            blueprint_version=start.plan.blueprint.version,
            plan_digest=start.plan.digest,
            requested_by=start.requested_by,
            created_at=self.clock.now(),
            progress=Progress(status=ExecutionStatus.PENDING, reason=start.reason),
        )
        inputs = replace(start.inputs, answers=await beside(start.plan, lambda: answers_of(start.plan)))
        creation = ExecutionCreation(record, inputs, audit=start.audit, answer=start.answer, secrets=start.secrets)
        try:
            await self.store.executions.create(creation)
        except StoreUnavailable:
            # It may have landed all the same: then it must begin.
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self._begin_if_created, start.execution)
            raise
        self.failpoints.reach("coordinator.execution.created")
        state = await self._unbegun(start.execution, start.plan)
        live = self._live.get(start.execution) or self._add(state, Position())
        await live.submit(i.Begin(seed=start.execution, requested_by=start.requested_by))

    async def submit(self, execution: str, input: i.Input, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Give an execution an input; returns once what follows is durable. Raises the engine's Refused."""
        await (await self._get(execution)).submit(input, audit)

    async def state(self, execution: str) -> ExecutionState:
        """Return an execution's state, from memory or folded from its events; raises store.NotFound."""
        live = self._live.get(execution)
        return live.state if live is not None else (await self.load(execution))[0]

    async def replay(self, execution: str, at: int) -> ExecutionState:
        """Return the state after the event with sequence `at`; raises store.NotFound."""
        return (await self.load(execution, at))[0]

    async def watch(self, execution: str, after: int) -> AsyncIterator[EventRecord]:
        """Yield the events above sequence `after`, then those that come, until the execution is over."""
        while True:
            live = self._live.get(execution)
            changed = live.changed if live is not None else None
            events = await self.store.executions.events(execution, after, EVENTS_AT_ONCE)
            for event in events:
                yield event
                after = event.sequence
            if events:
                continue
            if live is None and not self.recovered.is_set():
                await self.recovered.wait()
                continue
            if live is None or changed is None or (live.state.terminal and after >= live.position.sequence):
                return
            await changed.wait()

    def progress(self, execution: str) -> Mapping[RunKey, tuple[float | None, str]]:
        """Return the newest progress of the step runs that report any."""
        return self._progress.get(execution, {})

    # --- what agents tell -------------------------------------------------------------------------------------

    def waiting_for(self, host: str) -> list[LiveExecution]:
        """Return the executions that have open attempts on a host, or wait for it; and those that may have decided to
        wait for it just now: what they decided on is older than the host's coming or going."""
        return [live for live in self._live.values() if host in live.state.by_host or not live.idle]

    async def resume_on(
        self, host: str, absent: Collection[AttemptKey] = (), held: Collection[AttemptKey] = ()
    ) -> None:
        """Send what is open for a host that has just come online, and let executions that waited for it go on.

        `absent`: the attempts that were open when the session began and that the agent's journal does not have as
        begun; `held`: those
        that it has begun or ended, which need not be sent again.
        """
        for live in self.waiting_for(host):
            self._give_up(live, absent)
            await self._send_again(live, host, held)
            self.later(live, i.HostChanged(host))

    async def _send_again(self, live: LiveExecution, host: str, held: Collection[AttemptKey]) -> None:
        """Send what is open on a host, each under the present epoch; later, while the store refuses the new fence."""
        try:
            await self._fence(live, self._to_send_again(live, host, held))
        except StoreError as error:
            log.error("attempts.not_fenced", execution=live.id, host=host, error=str(error))
            self.in_a_moment(lambda: self._send_again(live, host, held), f"send {live.id} again to {host}")
            return
        await self._send(live, self._to_send_again(live, host, held))

    async def _release(self, live: LiveExecution) -> None:
        """Send what was held by a restore to the hosts that are there; the others get it with their sessions."""
        for host in sorted(live.state.by_host):
            if self.world.online(host):
                self._spawn(self._send_again(live, host, ()), f"release {live.id} to {host}")

    def _to_send_again(self, live: LiveExecution, host: str, held: Collection[AttemptKey]) -> Due:
        todo = due_on(live.state, host)
        if live.state.pause_reason == RESTORED:
            # Nor fenced: what the agent has of it may end meanwhile, and its result is good.
            self._held.add(live.id)
            return Due(cancel=todo.cancel)
        return Due(tuple(each for each in todo.assign if attempt_key(live.state, each) not in held), todo.cancel)

    async def forsake(self, host: str) -> None:
        """End every attempt that is open on a host that will never answer again: nobody knows what became of them."""
        for key, epoch in tuple(self.dispatcher.open_on(host).items()):
            live = await self.find(key.execution)
            if live is None:
                continue
            report = AttemptReport(
                key=key,
                epoch=epoch,
                outcome=Outcome.INTERRUPTED,
                error=f"{host} was revoked before it said what became of this attempt",
                ended_at=self.clock.now(),
                evidence={"host": "revoked"},
            )
            self.later(live, i.AttemptEnded(report))

    async def report(self, report: AttemptReport) -> None:
        """Take the end of an attempt; returns once it is durable.

        Raises Fenced for one of another assignment than the newest; the store compares once more when it writes.
        """
        live = await self.find(report.key.execution)
        self.failpoints.reach("coordinator.result.taken")
        epoch = self.dispatcher.epoch_of(report.key)
        if epoch not in (None, report.epoch):
            raise Fenced(f"{report.key}: a result of epoch {report.epoch}, but it is assigned under epoch {epoch}")
        if live is not None:
            ended = i.AttemptEnded(await self.redaction.report(report, self._parameters))
            await live.submit(ended, fence=(report.key, report.epoch))
        self.failpoints.reach("coordinator.result.kept")

    async def begun(self, key: AttemptKey, started_at: int) -> None:
        """Take the news that an attempt runs."""
        if self.dispatcher.epoch_of(key) is None:
            return
        live = await self.find(key.execution)
        if live is not None:
            self.later(live, i.AttemptStarted(key, started_at))

    async def redacted(self, piece: LogPiece) -> LogPiece:
        """Return a piece of log without the values of the secrets that its attempt was given.

        Raises UnknownAttempt for one that was never assigned.
        """
        return await self.redaction.log(piece, self._parameters)

    async def _parameters(self, key: AttemptKey) -> Mapping[str, Json]:
        """Return what an attempt was given; raises UnknownAttempt when there is none."""
        live = self._live.get(key.execution)
        if live is not None:
            attempt = live.state.open.get(RunKey(key.path, key.host, key.item))
            if attempt is not None and attempt_key(live.state, attempt) == key:
                return attempt.parameters
        for row in await self.store.executions.attempts(key.execution, key.path, key.host, key.item):
            if row.key == key:
                return row.parameters
        raise UnknownAttempt(f"no attempt {key} was ever assigned")

    def set_progress(self, key: AttemptKey, fraction: float | None, text: str) -> None:
        """Show progress of an open attempt."""
        if self.dispatcher.epoch_of(key) is not None:
            self._progress.setdefault(key.execution, {})[RunKey(key.path, key.host, key.item)] = (fraction, text)

    @property
    def active(self) -> int:
        """Return how many executions are in memory."""
        return len(self._live)

    # --- Effects ----------------------------------------------------------------------------------------------

    async def after(self, live: LiveExecution, events: Sequence[Event]) -> None:
        """Do what the events ask for, now that they are durable."""
        for event in events:
            if isinstance(event, AttemptFinished):
                run = RunKey(event.path, event.host, event.item)
                self.dispatcher.ended(key_of_event(live.id, run, event))
                self._progress.get(live.id, {}).pop(run, None)
            elif isinstance(event, AttemptPlanned):
                self._note_open(live.state, RunKey(event.path, event.host, event.item))
        if live.id in self._held and live.state.pause_reason != RESTORED:
            self._held.discard(live.id)
            await self._release(live)
        await self._send(live, due_after(live.state, events))
        await self.refill()
        self._timers.set(live.id, next_wakeup(live.state))

    def settled(self, live: LiveExecution) -> None:
        """Let go of an execution that is over: the store has all of it. Look again at one that is in doubt."""
        if live.doubtful:
            if live.id not in self._doubtful:
                self._doubtful.add(live.id)
                asyncio.get_running_loop().call_later(RETRY_PAUSE, self._settle_doubt, live)
            return
        if live.state.terminal and self._live.get(live.id) is live:
            self._live.pop(live.id)
            self._progress.pop(live.id, None)
            self._timers.set(live.id, None)

    def _settle_doubt(self, live: LiveExecution) -> None:
        """Read an execution again whose last write failed: it may have landed, and then something is due."""
        self._doubtful.discard(live.id)
        live.submit(None).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _begin_if_created(self, execution: str) -> None:
        self._spawn(self._begin_created(execution), f"begin {execution} if it was created")

    async def _begin_created(self, execution: str) -> None:
        try:
            await self._recover(await self.store.executions.get(execution))
        except NotFound:
            return
        except StoreError:
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self._begin_if_created, execution)

    async def reloaded(self, live: LiveExecution) -> None:
        """Derive again what is due: the state was read from the store after a write of unknown fate."""
        keys = {attempt_key(live.state, attempt) for attempt in live.state.open.values()}
        for host in {key.host for key in keys} | set(self.dispatcher.epochs):
            for key in [key for key in self.dispatcher.open_on(host) if key.execution == live.id and key not in keys]:
                self.dispatcher.ended(key)
        for key, epoch in (await self.store.executions.open_attempts(live.id)).items():
            self.dispatcher.opened(key, epoch)
        await self._send(live, due(live.state))
        wakeup = next_wakeup(live.state)
        # Not at once: while the disk is full, each Tick that fails would end in the next reload and Tick.
        soonest = self.clock.now() + round(RETRY_PAUSE * 1_000_000)
        self._timers.set(live.id, wakeup if wakeup is None else max(wakeup, soonest))

    async def load(self, execution: str, until: int | None = None) -> tuple[ExecutionState, Position]:
        """Fold an execution from its events, all of them or those up to a sequence; raises store.NotFound."""
        record = await self.store.executions.get(execution)
        plan = await self._as_started(execution, await self.plans.get(record.plan_digest))
        state = await self._unbegun(execution, plan)
        sequence = 0
        while rows := await self.store.executions.events(execution, sequence, EVENTS_AT_ONCE):
            wanted = [row for row in rows if until is None or row.sequence <= until]
            state = fold(state, [(decode(row.type, row.data), row.at) for row in wanted])
            sequence = wanted[-1].sequence if wanted else sequence
            if len(wanted) < len(rows):
                break
            await asyncio.sleep(0)
        return state, Position(record.version, sequence, count_runs(state))

    async def _as_started(self, execution: str, plan: Plan) -> Plan:
        """Return a stored plan as the execution was started with it: with the answers of that moment."""
        answers = (await self.store.executions.inputs(execution)).answers
        return plan if answers is None else await beside(plan, lambda: with_answers(plan, answers))

    async def _unbegun(self, execution: str, plan: Plan) -> ExecutionState:
        return await beside(plan, lambda: ExecutionState.new(execution, referring(plan, execution)))

    def is_open(self, key: AttemptKey) -> bool:
        """Return whether an attempt waits for its result."""
        if self.dispatcher.epoch_of(key) is not None:
            return True
        live = self._live.get(key.execution)
        attempt = live.state.open.get(RunKey(key.path, key.host, key.item)) if live is not None else None
        return live is not None and attempt is not None and attempt_key(live.state, attempt) == key

    # --- inside -----------------------------------------------------------------------------------------------

    async def _get(self, execution: str) -> LiveExecution:
        live = await self.find(execution)
        if live is None:
            raise NotFound(f"there is no execution {execution}; see: pilotage run list")
        return live

    async def find(self, execution: str) -> LiveExecution | None:
        """Return an execution that can change, loading it if need be; one loading serves all who ask."""
        live = self._live.get(execution)
        if live is not None:
            return live
        task = self._loading.get(execution)
        if task is None:
            task = asyncio.create_task(self._load(execution), name=f"load {execution}")
            self._loading[execution] = task
            task.add_done_callback(lambda _: self._loading.pop(execution, None))
        return await asyncio.shield(task)

    async def _load(self, execution: str) -> LiveExecution | None:
        try:
            state, position = await self.load(execution)
        except NotFound:
            return None
        already = self._live.get(execution)
        if already is not None:
            return already
        live = self._add(state, position)
        for key, epoch in (await self.store.executions.open_attempts(execution)).items():
            self.dispatcher.opened(key, epoch)
        self._timers.set(execution, next_wakeup(state))
        await self._send(live, Due(assign=tuple(each for each in due(state).assign if not self._on_host(state, each))))
        return live

    def _add(self, state: ExecutionState, position: Position) -> LiveExecution:
        live = LiveExecution(
            state,
            position,
            self.store.executions,
            self.world,
            self.clock,
            self,
            self.epoch,
            self.failpoints,
            self._spawn_drain,
        )
        self._live[state.id] = live
        return live

    async def _fence(self, live: LiveExecution, todo: Due) -> None:
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

    def _give_up(self, live: LiveExecution, absent: Collection[AttemptKey]) -> None:
        """End the attempts that their agent began and has forgotten: they are not sent again under their number."""
        for key in absent:
            attempt = live.state.open.get(RunKey(key.path, key.host, key.item)) if key.execution == live.id else None
            epoch = self.dispatcher.epoch_of(key)
            if epoch is not None and attempt is not None and attempt.started:
                # The agent may still hold it as accepted.
                self.dispatcher.port.cancel(key, self.epoch, "made again under a new number")
                self.later(live, i.AttemptEnded(forgotten(key, epoch, self.clock.now())))

    async def _send(self, live: LiveExecution, todo: Due) -> None:
        for attempt in todo.assign:
            if self._on_host(live.state, attempt):
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
        if state.pause_reason == RESTORED:
            self._held.add(state.id)
            return
        if self.dispatcher.epoch_of(attempt_key(state, attempt)) not in (None, self.epoch):
            return
        try:
            await self.dispatcher.assign(state, attempt, attempt_key(state, attempt))
        except CannotDispatch as error:
            self._decline(state, attempt, str(error))
        except AnotherMachine as error:
            self._end(state, attempt, Outcome.INTERRUPTED, FailureKind.TARGET, str(error))
        except StoreError as error:
            log.error("attempt.not_sent", attempt=str(attempt_key(state, attempt)), error=str(error))
            again = partial(self._spawn, self._assign(state, attempt), f"send again for {state.id}")
            asyncio.get_running_loop().call_later(RETRY_PAUSE, again)
        self.failpoints.reach("coordinator.assignment.queued")

    async def refill(self) -> None:
        """Send what waited for credit."""
        while (waiting := self.dispatcher.next_waiting()) is not None:
            await self._assign(*waiting)

    def _note_open(self, state: ExecutionState, run: RunKey) -> None:
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
        live = self._live.get(state.id)
        if live is not None:
            self.later(live, i.AttemptEnded(report))

    @staticmethod
    def _on_host(state: ExecutionState, attempt: OpenAttempt) -> bool:
        return bool(attempt.run.host) and state.step(attempt.run.path).place is Place.HOST

    def _ring(self, execution: str) -> None:
        live = self._live.get(execution)
        if live is not None:
            self.later(live, i.Tick())

    def later(self, live: LiveExecution, input: i.Input) -> None:
        """Give an input that nobody waits for, again and again until the store takes it."""
        live.submit(input).add_done_callback(lambda done: self._given(live, input, done))

    def _given(self, live: LiveExecution, input: i.Input, done: "asyncio.Future[None]") -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, StoreError):
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self.later, live, input)
        elif error is not None:
            log.warning("input.refused", execution=live.id, input=type(input).__name__, error=str(error))

    def in_a_moment(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Do what the store has just refused, once more."""
        asyncio.get_running_loop().call_later(RETRY_PAUSE, lambda: self._spawn(work(), name))

    def _spawn_drain(self, name: str, live: LiveExecution) -> None:
        self._spawn(live.drain(), name)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task.failed", task=task.get_name(), error=repr(error), exc_info=error)
