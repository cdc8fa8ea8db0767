"""What a session's journal means for what is open: every combination of the two sides."""

from itertools import product

import pytest
from pilotage_coordinator.domain.fleet import JournalEntry, JournalState, Outcome
from pilotage_coordinator.runtime.reconciliation import reconcile
from pilotage_proto.attempt import AttemptKey, AttemptKind

KEY = AttemptKey("exe_1", "step", "h1", "", AttemptKind.RUN, 1)
OTHER = AttemptKey("exe_1", "other", "h1", "", AttemptKind.RUN, 1)
NOW = 1_000


@pytest.mark.parametrize(
    ("is_open", "state", "replaced"),
    list(product([True, False], [None, *JournalState], [True, False])),
)
def test_each_combination(is_open: bool, state: JournalState | None, replaced: bool) -> None:
    journal = () if state is None else (JournalEntry(KEY, state, epoch=2, started_at=5),)
    found = reconcile({KEY: 2} if is_open else {}, journal, journal_replaced=replaced, now=NOW)
    assert bool(found.started) == (is_open and state is JournalState.STARTED)
    assert bool(found.strangers) == (not is_open and state is JournalState.STARTED)
    # Only a new journal that does not know an open attempt may hide a start; an old one proves that there was none.
    assert bool(found.lost) == (is_open and state is None and replaced)


def test_a_lost_attempt_is_interrupted_under_its_own_epoch() -> None:
    [report] = reconcile({KEY: 2, OTHER: 4}, (JournalEntry(KEY, JournalState.ACCEPTED, epoch=2),),
                         journal_replaced=True, now=NOW).lost  # fmt: skip
    assert (report.key, report.epoch, report.outcome, report.ended_at) == (OTHER, 4, Outcome.INTERRUPTED, NOW)
    assert report.evidence == {"journal": "replaced"}
    assert report.started_at == 0
