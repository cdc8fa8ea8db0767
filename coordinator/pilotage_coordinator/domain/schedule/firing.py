"""What becomes of the nominal times of a schedule once they are due. Pure; times are UTC microseconds.

Each nominal time gets exactly one outcome. Of several that are due at once only the newest can still run: whoever
comes back after an outage wants one backup, not ten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.values import DAY, SECOND, write_duration

MOST_AT_ONCE: Final = 200
"""Nominal times that are decided on in one transaction."""
LONGEST_OUTAGE: Final = 32 * DAY
"""What was due longer ago is told in one row: a clock that was wrong by years must not fill the disk."""
MOST_WAITING: Final = 100
"""Firings that wait for one schedule."""
LOST: Final = "the coordinator was restored from a backup, and nobody knows whether it has run"
UNSEEN: Final = "it would run what its owner has not seen: "
"""How the note of a schedule begins that waits for its owner's word."""
NOT_THE_NEWEST: Final = "nobody was there in time; only the newest time is caught up"


class State(StrEnum):
    """Where a schedule is."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Its times are skipped, by whoever paused it or because an execution failed."""
    DISABLED = "disabled"
    """It was made so, and has no times until it is enabled."""
    STOPPED = "stopped"
    """Its owner is gone: nothing runs with the rights of nobody."""
    FINISHED = "finished"
    """It has no time left."""
    CANCELLED = "cancelled"

    @property
    def timed(self) -> bool:
        """Return whether its nominal times are told."""
        return self in (State.ACTIVE, State.PAUSED)


class Overlap(StrEnum):
    """What happens when a time comes while an execution of the same schedule is not over."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    ALLOW_ALL = "allow_all"


class Outcome(StrEnum):
    """What became of a nominal time."""

    RAN = "ran"
    """An execution was started for it."""
    WAITING = "waiting"
    """It runs once what runs is over."""
    SKIPPED = "skipped"
    MISSED = "missed"
    """Nobody was there in time."""


FAILED: Final = frozenset({ExecutionStatus.FAILED, ExecutionStatus.ROLLED_BACK, ExecutionStatus.ROLLBACK_INCOMPLETE})
"""Ends of an execution that pause a schedule with `pause_on_failure`. A cancel is somebody's wish."""


@dataclass(frozen=True, slots=True)
class Told:
    """A nominal time and what became of it."""

    nominal: int
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a schedule says of its firings."""

    overlap: Overlap = Overlap.SKIP
    catchup: int = 0
    """How late a time may run."""
    delay: int = 0
    """By how much each time comes after its nominal one: its jitter."""
    paused: str = ""
    """Why nothing runs; empty when it does."""
    lost_until: int = 0
    """Up to when rows may have been lost by a restore: nobody knows whether a time before has run."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about the times that are due."""

    told: tuple[Told, ...]
    start: int | None = None
    """The nominal time for which an execution is to begin."""
    cancel: bool = False
    """Whether what runs is to be cancelled."""


def decide(rules: Rules, due: Sequence[int], more: bool, now: int, running: Sequence[str], waiting: int) -> Decision:
    """Decide about the nominal times `due`, oldest first; `more` says that further ones are due after them.

    `running` names the executions of this schedule that are not over, `waiting` counts the firings that wait.
    """
    if rules.paused:
        return Decision(tuple(Told(each, Outcome.SKIPPED, rules.paused) for each in due))
    earlier = due if more else due[:-1]
    told = [Told(each, Outcome.MISSED, NOT_THE_NEWEST) for each in earlier]
    if more:
        return Decision(tuple(told))
    last = due[-1]
    if last + rules.delay <= rules.lost_until:
        return Decision((*told, Told(last, Outcome.MISSED, LOST)))
    late = now - last - rules.delay
    if late > rules.catchup:
        passed = write_duration(late // SECOND * SECOND)
        why = f"{passed} late, more than the {write_duration(rules.catchup)} allowed"
        return Decision((*told, Told(last, Outcome.MISSED, why)))
    if rules.overlap is Overlap.ALLOW_ALL or not (running or waiting):
        return Decision(tuple(told), start=last)
    return _overlapping(rules.overlap, tuple(told), last, running, waiting)


def _overlapping(overlap: Overlap, told: tuple[Told, ...], last: int, running: Sequence[str], waiting: int) -> Decision:
    other = f"{running[0]} of this schedule is not over" if running else "an earlier firing still waits"
    if overlap is Overlap.SKIP:
        return Decision((*told, Told(last, Outcome.SKIPPED, other)))
    most = MOST_WAITING if overlap is Overlap.BUFFER_ALL else 1
    if waiting >= most:
        why = f"{other}, and {waiting} wait{'s' if waiting == 1 else ''} already"
        return Decision((*told, Told(last, Outcome.SKIPPED, why)))
    return Decision((*told, Told(last, Outcome.WAITING, other)), cancel=overlap is Overlap.CANCEL_OTHER)


def due_now(times: Iterator[int], first: int, delay: int, now: int) -> tuple[list[int], bool]:
    """Return the nominal times that are due, `first` and those of `times` after it, and whether there are more."""
    due = [first]
    for nominal in times:
        if nominal + delay > now:
            return due, False
        if len(due) == MOST_AT_ONCE:
            return due, True
        due.append(nominal)
    return due, False
