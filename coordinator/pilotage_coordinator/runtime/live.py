"""One execution in memory: inputs come in, are decided in order, committed together, and then take effect.

The state in memory is never ahead of the store: a batch of inputs is decided on a copy, which becomes the state once
its events are durable. Inputs that arrive while a commit is under way wait for it and then share the next one. What a
decision makes possible is started in slices, each with its own commit: a plan may have a hundred thousand step runs.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.events import Event
from pilotage_coordinator.domain.execution.inputs import Continue, Input
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.engine.decide import react
from pilotage_coordinator.engine.draft import Work
from pilotage_coordinator.engine.world import World
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.projection import Extra, Happened, Position, project
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.protocol import ExecutionStore
from pilotage_coordinator.store.records import AttemptUpdate, AuditEntry
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_engine")

MOST_STEPS: Final = 500
"""Steps of the engine after which the rest is left to the next commit: some two hundred attempts, twenty milliseconds
with their rows."""
MOST_INPUTS: Final = 250
"""Inputs that share a commit."""


class Effects(Protocol):
    """What follows from events once they are durable: assignments, cancels, timers, news for watchers."""

    async def after(self, live: "LiveExecution", events: Sequence[Event]) -> None:
        """Make them happen. Must not fail: whatever is not done here is derived from state again later."""
        ...

    async def load(self, execution: str) -> tuple[ExecutionState, Position]:
        """Return the state as the store has it: after a write whose fate is not known."""
        ...

    async def reloaded(self, live: "LiveExecution") -> None:
        """Derive again what is due, after the state was loaded."""
        ...

    def settled(self, live: "LiveExecution") -> None:
        """Nothing is waiting to be decided any more."""
        ...


@dataclass(slots=True)
class Waiting:
    """An input in the queue, and who waits for it to be durable."""

    input: Input | None
    """None: nothing for the engine, only the updates."""
    done: "asyncio.Future[None]"
    audit: tuple[AuditEntry, ...] = ()
    updates: tuple[AttemptUpdate, ...] = ()
    """Changes of attempts' rows that are no news to the engine: a new fence."""
    fence: tuple[AttemptKey, int] | None = None
    """The attempt that the input ends, and the epoch that its row must have then."""


@dataclass(slots=True)
class LiveExecution:
    """The one place in the process where this execution changes."""

    state: ExecutionState
    position: Position
    store: ExecutionStore
    world: World
    clock: Clock
    effects: Effects
    epoch: int
    failpoints: Failpoints
    spawn: Callable[[str, "LiveExecution"], None]
    """Starts `drain` as a task of its owner."""
    most: int = MOST_STEPS
    """How much of what may start is started in one commit, in steps of the engine."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced by a new one, at each commit."""
    _queue: deque[Waiting] = field(default_factory=deque)
    _left: tuple[Work, ...] = ()
    """What may start, and was left to the next commit."""
    _anew: bool = False
    """What may start is to be found out again: it was not kept when a write failed."""
    _leaving: bool = False
    _draining: bool = False
    _doubtful: bool = False
    """The last write failed; whether it is in the store shows only there."""

    @property
    def id(self) -> str:
        """Return the execution's id."""
        return self.state.id

    @property
    def idle(self) -> bool:
        """Return whether no input is waiting or being decided."""
        return not self._draining and not self._queue

    @property
    def doubtful(self) -> bool:
        """Return whether the last write failed, so that only the store knows the state."""
        return self._doubtful

    def submit(
        self,
        input: Input | None,
        audit: tuple[AuditEntry, ...] = (),
        updates: tuple[AttemptUpdate, ...] = (),
        fence: tuple[AttemptKey, int] | None = None,
    ) -> "asyncio.Future[None]":
        """Queue an input. The future ends when what follows from it is durable.

        It raises the engine's Refused when the state does not allow the input, and StoreUnavailable when the disk
        does not take it; in both cases nothing has changed.
        """
        waiting = Waiting(input, asyncio.get_running_loop().create_future(), audit, updates, fence)
        self._queue.append(waiting)
        if not self._draining:
            self._draining = True
            self.spawn(f"execution {self.id}", self)
        return waiting.done

    async def drain(self) -> None:
        """Decide and commit until the queue is empty. Runs once at a time."""
        try:
            while self._queue or (self._left and not self._leaving):
                await self._advance([self._queue.popleft() for _ in range(min(len(self._queue), MOST_INPUTS))])
                if self._left:
                    await asyncio.sleep(0)  # a slice in which nothing happened has no commit to wait for
        finally:
            self._draining = False
            for waiting in self._queue:
                waiting.done.cancel()
        self.effects.settled(self)

    def leave_off(self) -> None:
        """Start nothing more: the process ends, and the next one finds out what may start."""
        self._leaving = True

    async def _advance(self, batch: Sequence[Waiting]) -> None:
        try:
            await self._settle_doubt()
            await self._decide(batch)
        except StoreError as error:
            self._doubt()
            log.error("execution.not_stored", execution=self.id, error=str(error))
            for waiting in batch:
                _fail(waiting, error)
        except Exception as error:
            # A defect must not leave anybody waiting for ever; nothing of the batch was stored.
            self._doubt()
            log.exception("execution.defect", execution=self.id)
            for waiting in batch:
                _fail(waiting, error)

    def _doubt(self) -> None:
        self._doubtful = self._anew = True
        self._left = ()

    async def _settle_doubt(self) -> None:
        if self._doubtful:
            self.state, self.position = await self.effects.load(self.id)
            self._doubtful = False
            await self.effects.reloaded(self)

    async def _decide(self, batch: Sequence[Waiting]) -> None:
        now = self.clock.now()
        after = self.state
        events: list[Event] = []
        touched: dict[RunKey, None] = {}
        taken: list[Waiting] = []
        left, steps = self._left, 0

        def decide(input: Input) -> None:
            nonlocal after, left, steps
            reaction = react(after, input, now, self.world, left=left, most=max(1, self.most - steps))
            after, left, steps = reaction.state, reaction.left, steps + reaction.steps
            events.extend(reaction.events)
            touched.update(dict.fromkeys(reaction.touched))

        if self._anew:
            decide(Continue(anew=True))
        for waiting in batch:
            if waiting.input is not None:
                try:
                    decide(waiting.input)
                except DomainError as refused:
                    _fail(waiting, refused)
                    continue
            taken.append(waiting)
        if left and steps < self.most:
            decide(Continue())
        updates = tuple(update for each in taken for update in each.updates)
        if events or updates:
            audit = tuple(entry for each in taken for entry in each.audit)
            happened = Happened(now, events, tuple(touched))
            fences = dict(each.fence for each in taken if each.fence is not None)
            await self._commit(after, happened, Extra(self.epoch, audit, updates, fences))
        self._left, self._anew = left, False
        for waiting in taken:
            if not waiting.done.done():
                waiting.done.set_result(None)
        if events:
            await self.effects.after(self, events)

    async def _commit(self, after: ExecutionState, happened: Happened, extra: Extra) -> None:
        change, position = project(self.state, after, happened, self.position, extra)
        self.failpoints.reach("coordinator.change.before_commit")
        await self.store.commit(change)
        self.failpoints.reach("coordinator.change.after_commit")
        self.state, self.position = after, position
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


def _fail(waiting: Waiting, error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
