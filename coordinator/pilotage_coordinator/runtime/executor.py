"""Runs executions: starts them, feeds them what happens, sends what is due, and picks all of it up after a crash."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.events import AttemptFinished, AttemptPlanned, Event, NotificationQueued
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.fleet import AttemptReport, LogPiece, Outcome
from pilotage_coordinator.domain.plan import Json, Plan
from pilotage_coordinator.domain.planning.answers import answers_of
from pilotage_coordinator.engine.due import Due, attempt_key, due, due_after, next_wakeup
from pilotage_coordinator.engine.world import World
from pilotage_coordinator.runtime.background import RETRY_PAUSE, Background
from pilotage_coordinator.runtime.beside import beside
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.dispatch import Dispatcher
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.history import EVENTS_AT_ONCE, History
from pilotage_coordinator.runtime.live import MOST_STEPS, LiveExecution
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.projection import Position
from pilotage_coordinator.runtime.projection import attempt_key as key_of_event
from pilotage_coordinator.runtime.restoration import held, holding
from pilotage_coordinator.runtime.second_redaction import SecondRedaction, UnknownAttempt
from pilotage_coordinator.runtime.sending import Sending, on_host
from pilotage_coordinator.runtime.timers import Timers
from pilotage_coordinator.runtime.unread import Unread, Unreadable
from pilotage_coordinator.store.errors import NotFound, StoreError, StoreUnavailable
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import (
    AnswerRecord,
    AuditEntry,
    ComplianceRecord,
    EventRecord,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    Progress,
    ScheduleStep,
    SecretRecord,
)
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")


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
    compliance: ComplianceRecord | None = None
    """What the rules of compliance found, kept as evidence."""
    schedule: ScheduleStep | None = None
    """The step of the schedule that starts it, stored with the execution."""


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
    most_steps: int = MOST_STEPS
    """How much of what may start in an execution is started in one commit."""
    _live: dict[str, LiveExecution] = field(default_factory=dict)
    _loading: dict[str, "asyncio.Task[LiveExecution | None]"] = field(default_factory=dict)
    _progress: dict[str, dict[RunKey, tuple[float | None, str]]] = field(default_factory=dict)
    _doubtful: set[str] = field(default_factory=set)
    """Executions whose newest state is to be read from the store again in a moment."""
    _timers: Timers = field(init=False)
    sending: Sending = field(init=False)
    background: Background = field(default_factory=Background)
    history: History = field(init=False)
    unread: Unread = field(init=False)
    queued: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a notification may have been recorded: whoever delivers them looks, and clears it."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an execution has ended: whoever starts others after it looks, and clears it."""
    ends: int = 0
    """How many have ended in this process's time."""
    recovered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once every execution that is not over is in memory, or known to be unread."""

    def __post_init__(self) -> None:
        self._timers = Timers(self.clock, lambda execution: self._give(execution, i.Tick()))
        self.sending = Sending(
            self.dispatcher, self.world, self.clock, self.epoch, self.failpoints, self.background, self._give
        )
        self.history = History(self.store.executions, PlanShelf(self.store.plans))
        self.unread = Unread(self.store.executions, self.dispatcher, self.background, self._recover)

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
        for execution in await self.unread.patiently(self.store.executions.active):
            try:
                await self._recover(execution)
            except Exception as error:
                # One that cannot be read must not keep the others, and every host, waiting.
                await self.unread.put_off(execution, error)
        self.recovered.set()
        log.info("executions.recovered", count=len(self._live), epoch=self.epoch)

    async def _recover(self, execution: ExecutionRecord) -> None:
        live = await self._read(execution.id)
        late = self.unread.was_read(execution.id)
        if live is None:
            return
        if late and self.recovered.is_set():
            self._compare_again(live)
        if live.position.sequence == 0:
            # The process died between creating the execution and beginning it.
            request = (await self.store.executions.inputs(execution.id)).request or {}
            self.later(live, i.Begin(execution.id, execution.requested_by, request))
        if self.restored:
            self._hold(live)
        if live.position.sequence:
            self.later(live, i.Recovered())

    def _compare_again(self, live: LiveExecution) -> None:
        """Let the journals of an execution's hosts be compared with it: their sessions began without it."""
        for host in sorted({attempt.run.host for attempt in live.state.open.values()} - {""}):
            if self.dispatcher.inventory.get(host) is None:
                self.background.spawn(self.forsake(host), f"forsake {host}")
            else:
                self.dispatcher.port.reconnect(host, f"what it did for {live.id} is compared anew")

    def _hold(self, live: LiveExecution) -> None:
        """Hold an execution until somebody resumes it, also one that is paused already, and before the store has it."""
        self.sending.hold(live.id, not held(live.state.pause_reason))
        if held(live.state.pause_reason):
            return
        hold = i.PauseRequested("coordinator", holding(live.state.pause_reason), anew=True)
        live.submit(hold).add_done_callback(lambda done: self._held(live, done))

    def _held(self, live: LiveExecution, done: "asyncio.Future[None]") -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, StoreError):
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self._hold, live)
            return
        self.sending.hold(live.id, False)
        if error is not None:
            log.warning("execution.not_held", execution=live.id, error=str(error))
            self.background.spawn(self.sending.release(live), f"release {live.id}")

    async def close(self) -> None:
        """Finish the commits that are under way; steps that run on hosts are not disturbed."""
        for live in self._live.values():
            live.leave_off()
        await self.background.close()

    # --- what people ask --------------------------------------------------------------------------------------

    async def start(self, start: Start) -> None:
        """Create an execution and begin it; returns once both are durable.

        Raises StoreError. Where it then says that the execution is stored, it begins by itself.
        """
        record = ExecutionRecord(
            id=start.execution,
            blueprint_id=start.plan.blueprint.id,
            blueprint_version=start.plan.blueprint.version,
            plan_digest=start.plan.digest,
            requested_by=start.requested_by,
            created_at=self.clock.now(),
            progress=Progress(status=ExecutionStatus.PENDING, reason=start.reason),
            name=start.plan.name,
        )
        inputs = replace(start.inputs, answers=await beside(start.plan, lambda: answers_of(start.plan)))
        creation = ExecutionCreation(
            record,
            inputs,
            audit=start.audit,
            answer=start.answer,
            secrets=start.secrets,
            compliance=start.compliance,
            schedule=start.schedule,
        )
        try:
            await self.store.executions.create(creation)
            self.failpoints.reach("coordinator.execution.created")
            state = await self.history.unbegun(start.execution, start.plan)
        except (StoreUnavailable, asyncio.CancelledError):
            # It may have landed all the same: then it must begin.
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self._begin_if_created, start.execution)
            raise
        live = self._live.get(start.execution) or self._add(state, Position())
        try:
            begin = i.Begin(start.execution, start.requested_by, start.inputs.request or {})
            await asyncio.shield(self.later(live, begin))
        except Refused:
            # A recovery that is under way has found it on the disk, and has begun it before us.
            if not live.position.sequence:
                raise
        except StoreError as error:
            raise StoreUnavailable(
                f"{start.execution} is stored and begins by itself once its beginning can be stored too: {error}"
            ) from error

    async def submit(self, execution: str, input: i.Input, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Give an execution an input; returns once what follows is durable. Raises the engine's Refused."""
        await (await self._get(execution)).submit(input, audit)

    async def state(self, execution: str) -> ExecutionState:
        """Return an execution's state, from memory or folded from its events; raises store.NotFound."""
        live = self._live.get(execution)
        return live.state if live is not None else (await self.load(execution))[0]

    async def replay(self, execution: str, at: int) -> ExecutionState:
        """Return the state after the event with sequence `at`; raises store.NotFound."""
        return (await self.history.load(execution, at))[0]

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
            if live is None and not (self.recovered.is_set() and execution not in self.unread):
                await self.recovered.wait()
                await self.unread.until_read(execution)
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
            self.sending.give_up(live, absent)
            await self.sending.again(live, host, held)
            self.later(live, i.HostChanged(host))

    async def forsake(self, host: str) -> None:
        """End every attempt that is open on a host that will never answer again: nobody knows what became of them."""
        for key, epoch in tuple(self.dispatcher.open_on(host).items()):
            if key.execution in self.unread:
                continue  # once it is read, which finds the host gone
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
        Raises StoreError while it cannot be stored, or its execution not be read.
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
        """Take the news that an attempt runs; a journal tells it again with each session."""
        if self.dispatcher.epoch_of(key) is None:
            return
        try:
            live = await self.find(key.execution)
        except Unreadable:
            return  # told again by the session that follows once it is read
        if live is None:
            return
        attempt = live.state.open.get(RunKey(key.path, key.host, key.item))
        if attempt is None or not attempt.started or attempt_key(live.state, attempt) != key:
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
        try:
            return (await self.store.executions.attempt(key)).parameters
        except NotFound as error:
            raise UnknownAttempt(f"no attempt {key} was ever assigned") from error

    def set_progress(self, key: AttemptKey, fraction: float | None, text: str) -> None:
        """Show progress of an open attempt."""
        if self.dispatcher.epoch_of(key) is not None:
            self._progress.setdefault(key.execution, {})[RunKey(key.path, key.host, key.item)] = (fraction, text)

    def states(self) -> Iterator[ExecutionState]:
        """Yield the states of the executions in memory that are not over."""
        yield from (live.state for live in self._live.values() if not live.state.terminal)

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
                key = key_of_event(live.id, run, event)
                self.dispatcher.ended(key)
                if event.given_up:
                    self.dispatcher.port.cancel(key, self.epoch, event.error)
                self._progress.get(live.id, {}).pop(run, None)
            elif isinstance(event, NotificationQueued):
                self.queued.set()
            elif isinstance(event, AttemptPlanned):
                self.sending.note_open(live.state, RunKey(event.path, event.host, event.item))
        await self.sending.after(live, due_after(live.state, events))
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
            self.ends += 1
            self.ended.set()

    def _settle_doubt(self, live: LiveExecution) -> None:
        """Read an execution again whose last write failed: it may have landed, and then something is due."""
        self._doubtful.discard(live.id)
        live.submit(None).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _begin_if_created(self, execution: str) -> None:
        self.background.spawn(self._begin_created(execution), f"begin {execution} if it was created")

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
        self.queued.set()
        await self.sending.send(live, due(live.state))
        await self.sending.refill()
        wakeup = next_wakeup(live.state)
        # Not at once: while the disk is full, each Tick that fails would end in the next reload and Tick.
        soonest = self.clock.now() + round(RETRY_PAUSE * 1_000_000)
        self._timers.set(live.id, wakeup if wakeup is None else max(wakeup, soonest))

    async def load(self, execution: str) -> tuple[ExecutionState, Position]:
        """Fold an execution from all of its events; raises store.NotFound."""
        return await self.history.load(execution)

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
        """Return an execution that can change, loading it if need be; raises StoreError when it cannot be read now."""
        if execution not in self._live:
            self.unread.refuse(execution)
        return await self._read(execution)

    async def _read(self, execution: str) -> LiveExecution | None:
        """Load an execution, unless it is in memory; one loading serves all who ask."""
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
        # Read before it counts as loaded: without them its results would be taken for unknown.
        opened = await self.store.executions.open_attempts(execution)
        already = self._live.get(execution)
        if already is not None:
            return already
        live = self._add(state, position)
        for key, epoch in opened.items():
            self.dispatcher.opened(key, epoch)
        self._timers.set(execution, next_wakeup(state))
        await self.sending.send(live, Due(assign=tuple(each for each in due(state).assign if not on_host(state, each))))
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
            self.most_steps,
        )
        self._live[state.id] = live
        return live

    def _give(self, execution: str, input: i.Input) -> None:
        live = self._live.get(execution)
        if live is not None:
            self.later(live, input)

    def later(self, live: LiveExecution, input: i.Input) -> "asyncio.Future[None]":
        """Give an input again and again until the store takes it; the future tells of the first time."""
        given = live.submit(input)
        given.add_done_callback(lambda done: self._given(live, input, done))
        return given

    def _given(self, live: LiveExecution, input: i.Input, done: "asyncio.Future[None]") -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, StoreError):
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self.later, live, input)
        elif error is not None:
            log.warning("input.refused", execution=live.id, input=type(input).__name__, error=str(error))

    def _spawn_drain(self, name: str, live: LiveExecution) -> None:
        self.background.spawn(live.drain(), name)
