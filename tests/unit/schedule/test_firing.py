"""What becomes of times that are due: each gets one outcome, and only the newest can run."""

import itertools
from dataclasses import replace

import pytest
from pilotage_coordinator.domain.schedule.firing import (
    MOST_AT_ONCE,
    MOST_WAITING,
    Decision,
    Outcome,
    Overlap,
    Rules,
    Told,
    decide,
    due_now,
)
from pilotage_coordinator.domain.values import MINUTE

RULES = Rules(catchup=10 * MINUTE)
NOW = 100 * MINUTE
RUNNING = ("exe_1",)


def outcome(decision: Decision) -> str:
    """Return what became of the newest time."""
    return "started" if decision.start is not None else decision.told[-1].outcome.value


@pytest.mark.parametrize(
    ("overlap", "idle", "running", "one_waits"),
    [
        (Overlap.SKIP, "started", "skipped", "skipped"),
        (Overlap.BUFFER_ONE, "started", "waiting", "skipped"),
        (Overlap.BUFFER_ALL, "started", "waiting", "waiting"),
        (Overlap.CANCEL_OTHER, "started", "waiting", "skipped"),
        (Overlap.ALLOW_ALL, "started", "started", "started"),
    ],
)
def test_overlap(overlap: Overlap, idle: str, running: str, one_waits: str) -> None:
    rules = replace(RULES, overlap=overlap)
    assert outcome(decide(rules, [NOW], False, NOW, (), 0)) == idle
    assert outcome(decide(rules, [NOW], False, NOW, RUNNING, 0)) == running
    assert outcome(decide(rules, [NOW], False, NOW, RUNNING, 1)) == one_waits
    # What waits comes before what is due now, also when nothing runs any more.
    assert outcome(decide(rules, [NOW], False, NOW, (), 1)) == one_waits
    assert decide(rules, [NOW], False, NOW, RUNNING, 0).cancel is (overlap is Overlap.CANCEL_OTHER)


def test_not_more_wait_than_there_is_room_for() -> None:
    rules = replace(RULES, overlap=Overlap.BUFFER_ALL)
    assert outcome(decide(rules, [NOW], False, NOW, RUNNING, MOST_WAITING - 1)) == "waiting"
    assert outcome(decide(rules, [NOW], False, NOW, RUNNING, MOST_WAITING)) == "skipped"


@pytest.mark.parametrize(("late", "expected"), [(0, "started"), (10 * MINUTE, "started"), (10 * MINUTE + 1, "missed")])
@pytest.mark.parametrize("delay", [0, 3 * MINUTE])
def test_how_late_a_time_may_run(late: int, expected: str, delay: int) -> None:
    rules = replace(RULES, delay=delay)
    assert outcome(decide(rules, [NOW - late - delay], False, NOW, (), 0)) == expected


@pytest.mark.parametrize(("more", "paused"), list(itertools.product((False, True), repeat=2)))
def test_each_time_is_told_exactly_once_and_only_the_newest_runs(more: bool, paused: bool) -> None:
    due = [NOW - 3 * MINUTE, NOW - 2 * MINUTE, NOW - MINUTE]
    decision = decide(replace(RULES, paused="held" if paused else ""), due, more, NOW, (), 0)
    told = [each.nominal for each in decision.told] + ([decision.start] if decision.start is not None else [])
    assert told == due
    assert decision.start == (due[-1] if not more and not paused else None)
    kinds = {each.outcome for each in decision.told}
    assert kinds == {Outcome.SKIPPED if paused else Outcome.MISSED}


def test_a_paused_schedule_says_why() -> None:
    assert decide(replace(RULES, paused="because"), [NOW], False, NOW, (), 0).told == (
        Told(NOW, Outcome.SKIPPED, "because"),
    )


def test_what_is_due_is_taken_in_parts() -> None:
    times = itertools.count(1)
    due, more = due_now(times, 0, 0, 1_000_000)
    assert (due, more) == (list(range(MOST_AT_ONCE)), True)
    assert due_now(iter([5, 9, 10]), 3, 1, 10) == ([3, 5, 9], False)
    assert due_now(iter([]), 3, 0, 10) == ([3], False)
