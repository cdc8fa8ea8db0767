"""When something is due by itself: a persistent priority queue, so that the next time is known at once.

The map says what is set; the heap (leftist, of nested tuples) orders it and may hold times that were unset or moved
since: these are dropped when they come to the top. Setting and unsetting cost O(log n), looking costs O(1).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from immutables import Map

from pilotage_coordinator.domain.execution.key import RunKey


class TimerKind(StrEnum):
    """What a timer is for."""

    RETRY = "retry"
    UNDO_RETRY = "undo_retry"
    OFFLINE = "offline"
    """How long a run waits for its host."""
    STEP_DEADLINE = "step_deadline"
    BATCH = "batch"
    """The wait between two batches."""
    HEALTH = "health"
    """The next round of a health gate."""
    HEALTH_DEADLINE = "health_deadline"
    EXECUTION_DEADLINE = "execution_deadline"
    APPROVAL = "approval"
    """A request for approval escalates or expires; the key's path is the name of its gate."""


class Timer(NamedTuple):
    """What is due, and for which run (or step, for a batch)."""

    kind: TimerKind
    key: RunKey


_Entry: TypeAlias = tuple[int, Timer]
_Heap: TypeAlias = "tuple[int, _Entry, _Heap, _Heap] | None"


@dataclass(frozen=True, slots=True)
class Timers:
    """The set timers; times are UTC microseconds."""

    times: Map[Timer, int] = field(default_factory=Map)
    heap: _Heap = field(default=None, compare=False, repr=False)

    def set(self, timer: Timer, at: int) -> "Timers":
        """Return timers in which `timer` is due `at`, whatever it was before."""
        return _cleaned(self.times.set(timer, at), _merge(self.heap, (1, (at, timer), None, None)))

    def unset(self, timer: Timer) -> "Timers":
        """Return timers without `timer`; the same ones if it was not set."""
        if timer not in self.times:
            return self
        return _cleaned(self.times.delete(timer), self.heap)

    def first(self) -> tuple[int, Timer] | None:
        """Return the earliest time and its timer."""
        return None if self.heap is None else self.heap[1]


def _cleaned(times: Map[Timer, int], heap: _Heap) -> Timers:
    while heap is not None and times.get(heap[1][1]) != heap[1][0]:
        heap = _merge(heap[2], heap[3])
    return Timers(times, heap)


def _merge(left: _Heap, right: _Heap) -> _Heap:
    if left is None:
        return right
    if right is None:
        return left
    if right[1] < left[1]:
        left, right = right, left
    merged = _merge(left[3], right)
    other = left[2]
    rank, other_rank = (merged[0] if merged else 0), (other[0] if other else 0)
    if other_rank >= rank:
        return (rank + 1, left[1], other, merged)
    return (other_rank + 1, left[1], merged, other)
