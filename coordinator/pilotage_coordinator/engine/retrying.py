"""When a failed attempt is made again. Pure arithmetic: the jitter is drawn from the attempt's identity."""

from hashlib import sha256
from typing import Final

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.plan import FailureKind, PlannedStep, Retry

MOST_INTERRUPTIONS: Final = 5
"""How many interrupted attempts in a row are made again by themselves: a step that takes its host down must end."""

UNDO_TRIES: Final = 3
"""How often a failing compensation is tried before a person must look."""


def next_try(
    execution: str, step: PlannedStep, run: StepRun, attempt: int, tries: int, kind: FailureKind, now: int
) -> int:
    """Return when the next attempt after failure number `tries` is due; 0 = never."""
    if tries >= step.retry.max_attempts or kind not in step.retry.on or run.expired:
        return 0
    at = now + delay(step.retry, execution, run.key, attempt, tries)
    return 0 if step.deadline and run.planned_at and at >= run.planned_at + step.deadline else at


def delay(retry: Retry, execution: str, key: RunKey, attempt: int, tries: int) -> int:
    """Return the wait after failure number `tries` (from 1), in microseconds: exponential, bounded, with jitter."""
    factor = retry.multiplier ** min(tries - 1, 64)
    plain = min(float(retry.max_delay), retry.initial_delay * factor)
    if retry.jitter:
        drawn = sha256("\0".join((execution, *key, str(attempt))).encode()).digest()
        plain *= 1 + retry.jitter * int.from_bytes(drawn[:4]) / 2**32
    return max(1, int(plain))
