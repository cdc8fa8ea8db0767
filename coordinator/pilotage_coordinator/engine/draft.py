"""A state being changed by the events of one decision: the maps stay persistent, the fields are rebound.

Only the event handlers (`engine.evolve` and what it calls) write to a draft. `agenda` and `duties` are not state: they
say what the events just applied may have made possible or necessary, for `engine.decide` to look at.
"""

import dataclasses
from collections import deque
from collections.abc import Mapping
from operator import attrgetter
from typing import Literal, NamedTuple, TypeAlias

from immutables import Map
from pilotage_proto.attempt import AttemptKind

from pilotage_coordinator.domain.execution.index import PlanIndex
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Frame, Grant, Loop, OpenGate, Passed
from pilotage_coordinator.domain.execution.run import OpenAttempt, StepRun
from pilotage_coordinator.domain.execution.state import ExecutionState, Rollback
from pilotage_coordinator.domain.execution.states import (
    ExecutionStatus,
    PendingReason,
    StepRunStatus,
    advance_step_run,
)
from pilotage_coordinator.domain.execution.timers import Timer, TimerKind, Timers
from pilotage_coordinator.domain.plan import Json, Plan

WorkKind: TypeAlias = Literal["step", "fan", "loop", "wave", "host"]
"""What may start: a step in its frame, more hosts, more items, the next compensations, what waited for a host."""

DutyKind: TypeAlias = Literal["body", "revert", "return", "health", "analysis", "refresh"]
"""What must be decided even in a pause: what follows the body, a rollout's reverting, what a frame returns, what the
steps of a health gate, an analysis or a refresh came to."""


class Work(NamedTuple):
    """Something that may be able to start now."""

    kind: WorkKind
    key: RunKey


class Duty(NamedTuple):
    """A consequence that is to be recorded now."""

    kind: DutyKind
    key: RunKey


_FIELDS = tuple(each.name for each in dataclasses.fields(ExecutionState))
_values = attrgetter(*_FIELDS)
_SLEEPING = (PendingReason.RETRY, PendingReason.OFFLINE, PendingReason.HEALTH)
_AWAITING_HOST = (PendingReason.OFFLINE, PendingReason.DRIFT, PendingReason.POLICY)


class Draft:
    """The fields of ExecutionState, writable."""

    id: str
    plan: Plan
    index: PlanIndex
    status: ExecutionStatus
    reason: str
    seed: str
    requested_by: str
    request: Mapping[str, Json]
    begun_at: int
    ended_at: int
    outputs: Mapping[str, Json]
    warnings: bool
    pause_reason: str | None
    pause_change: str
    accepted: Map[str, None]
    halted: str
    runs: Map[RunKey, StepRun]
    by_path: Map[str, Map[RunKey, None]]
    frames: Map[RunKey, Frame]
    fans: Map[RunKey, Fan]
    loops: Map[RunKey, Loop]
    arguments: Map[RunKey, Mapping[str, Json]]
    items: Map[RunKey, Mapping[str, Json]]
    waits: Map[RunKey, int]
    kept: Map[RunKey, None]
    passed: Map[RunKey, Passed]
    open: Map[RunKey, OpenAttempt]
    cancels: Map[RunKey, None]
    by_host: Map[str, Map[RunKey, None]]
    gates: Map[str, OpenGate]
    grants: Map[str, Grant]
    asked: int
    reopened_by: str
    unknown: Map[RunKey, None]
    timers: Timers
    sleeping: int
    sequence: int
    rollbacks: tuple[Rollback, ...]
    rolled_back: bool
    rollback_failed: str
    rollback_unmet: str
    kept_back: Map[RunKey, str]

    __slots__ = (*_FIELDS, "agenda", "duties", "halting", "returned", "touched")

    def __init__(self, state: ExecutionState) -> None:
        for name, value in zip(_FIELDS, _values(state), strict=True):
            setattr(self, name, value)
        self.agenda: deque[Work] = deque()
        self.duties: deque[Duty] = deque()
        self.halting: deque[RunKey] = deque()
        """Frames just marked halted, whose inside is still to be settled before the event is folded."""
        self.returned: deque[RunKey] = deque()
        """Frames of a rollback that have ended, still to be counted before the event is folded."""
        self.touched: dict[RunKey, None] = {}

    def freeze(self) -> ExecutionState:
        """Return the state as it is now."""
        return ExecutionState(*_values(self))

    def put(self, run: StepRun) -> None:
        """Store a run, and keep every index of runs in step with it."""
        key = run.key
        old = self.runs.get(key)
        if old is None:
            self.by_path = self.by_path.set(key.path, self.by_path.get(key.path, _NONE).set(key, None))
        elif old.status is not run.status:
            advance_step_run(old.status, run.status)
            if old.status is StepRunStatus.UNKNOWN:
                self.unknown = self.unknown.delete(key)
        if run.status is StepRunStatus.UNKNOWN and key not in self.unknown:
            self.unknown = self.unknown.set(key, None)
        was = old is not None and old.reason in _SLEEPING
        now = run.reason in _SLEEPING
        if was is not now:
            self.sleeping += 1 if now else -1
        was_away = old is not None and old.reason in _AWAITING_HOST
        is_away = run.reason in _AWAITING_HOST
        if is_away and not was_away:
            self._list(key)
        elif was_away and not is_away and key not in self.open:
            self._unlist(key)
        self.runs = self.runs.set(key, run)
        self.touched[key] = None

    def put_fan(self, key: RunKey, fan: Fan) -> None:
        """Store a fan, and keep the count of sleepers in step with it."""
        old = self.fans.get(key)
        was = old is not None and old.wait_until > 0
        now = fan.wait_until > 0
        if was is not now:
            self.sleeping += 1 if now else -1
        self.fans = self.fans.set(key, fan)

    def put_frame(self, key: RunKey, frame: Frame) -> None:
        """Store a frame."""
        self.frames = self.frames.set(key, frame)

    def put_loop(self, key: RunKey, loop: Loop) -> None:
        """Store a loop."""
        self.loops = self.loops.set(key, loop)

    def close_gate(self, name: str) -> None:
        """Forget a gate, if it is there, and what was to happen to its request by time alone."""
        if name in self.gates:
            self.gates = self.gates.delete(name)
            self.set_timer(TimerKind.APPROVAL, RunKey(name), 0)

    def open_attempt(self, attempt: OpenAttempt) -> None:
        """Add or replace an open attempt."""
        if attempt.run not in self.open:
            self._list(attempt.run)
        self.open = self.open.set(attempt.run, attempt)

    def close_attempt(self, key: RunKey) -> None:
        """Forget an open attempt, if there is one."""
        if key not in self.open:
            return
        self.open = self.open.delete(key)
        if key in self.cancels:
            self.cancels = self.cancels.delete(key)
        self._unlist(key)

    def set_timer(self, kind: TimerKind, key: RunKey, at: int) -> None:
        """Set a timer; `at` 0 unsets it."""
        timer = Timer(kind, key)
        self.timers = self.timers.set(timer, at) if at else self.timers.unset(timer)

    def unset_timers(self, key: RunKey, *, kind: AttemptKind = AttemptKind.RUN) -> None:
        """Unset every timer of a run's work, or of its undo."""
        if not self.timers.times:
            return
        kinds = _RUN_TIMERS if kind is AttemptKind.RUN else _UNDO_TIMERS
        for each in kinds:
            self.timers = self.timers.unset(Timer(each, key))

    def _list(self, key: RunKey) -> None:
        self.by_host = self.by_host.set(key.host, self.by_host.get(key.host, _NONE).set(key, None))

    def _unlist(self, key: RunKey) -> None:
        rest = self.by_host.get(key.host, _NONE)
        if key not in rest:
            return
        rest = rest.delete(key)
        self.by_host = self.by_host.set(key.host, rest) if rest else self.by_host.delete(key.host)


_NONE: Map[RunKey, None] = Map()
_RUN_TIMERS = (
    TimerKind.RETRY,
    TimerKind.OFFLINE,
    TimerKind.STEP_DEADLINE,
    TimerKind.HEALTH,
    TimerKind.HEALTH_DEADLINE,
)
_UNDO_TIMERS = (TimerKind.UNDO_RETRY, TimerKind.OFFLINE)
