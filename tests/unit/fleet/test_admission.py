"""The rules by which greetings are judged, each row one situation."""

import pytest
from pilotage_coordinator.domain.fleet import Greeting
from pilotage_coordinator.fleet.admission import Live, Marks, Verdict, common_protocol, judge


def greeting(instance: str = "a", journal: str = "j", sequence: int = 10, counter: int = 5, epoch: int = 3) -> Greeting:
    return Greeting("0.1.0", instance, journal, sequence, counter, epoch, "boot", 0, 4)


MARKS = Marks("j", 10, 4, 3)
LIVE = Live("a", "j", 4)


@pytest.mark.parametrize(
    ("said", "marks", "live", "last", "verdict"),
    [
        (greeting(), Marks(), None, "", Verdict.ADMIT),
        (greeting(), MARKS, None, "", Verdict.ADMIT),
        (greeting(), MARKS, None, "a", Verdict.ADMIT),
        (greeting("b"), MARKS, None, "a", Verdict.ADMIT),
        (greeting(), MARKS, LIVE, "a", Verdict.ADMIT),
        (greeting(counter=4), MARKS, LIVE, "a", Verdict.STALE),
        (greeting(counter=3), MARKS, LIVE, "a", Verdict.STALE),
        (greeting(counter=4), MARKS, None, "a", Verdict.STALE),
        (greeting(counter=4), MARKS, None, "", Verdict.QUARANTINE),
        (greeting(counter=3), MARKS, None, "", Verdict.QUARANTINE),
        (greeting("b", counter=4), MARKS, None, "a", Verdict.QUARANTINE),
        (greeting("b", counter=4), MARKS, LIVE, "a", Verdict.QUARANTINE),
        (greeting(sequence=9), MARKS, None, "", Verdict.QUARANTINE),
        (greeting(sequence=9), MARKS, LIVE, "a", Verdict.QUARANTINE),
        (greeting(epoch=2), MARKS, None, "", Verdict.QUARANTINE),
        (greeting("b"), MARKS, LIVE, "a", Verdict.CHALLENGE),
        (greeting(journal="new", sequence=0, counter=1, epoch=0), MARKS, None, "", Verdict.ADMIT),
        (greeting(journal="new", sequence=0, counter=1), MARKS, LIVE, "a", Verdict.ADMIT),
        (greeting("b", journal="new", sequence=0, counter=1), MARKS, LIVE, "a", Verdict.CHALLENGE),
        (greeting(epoch=8), MARKS, None, "", Verdict.OLD_COORDINATOR),
        (greeting("b", counter=1, epoch=8), MARKS, LIVE, "a", Verdict.OLD_COORDINATOR),
        (greeting(epoch=7), MARKS, None, "", Verdict.ADMIT),
    ],
)
def test_judgement(said: Greeting, marks: Marks, live: Live | None, last: str, verdict: Verdict) -> None:
    judgement = judge(said, marks, live, last, epoch=7)
    assert judgement.verdict is verdict
    assert bool(judgement.reason) == (verdict is not Verdict.ADMIT)


@pytest.mark.parametrize(
    ("lowest", "highest", "chosen"), [(1, 1, 1), (1, 9, 1), (0, 1, 1), (2, 9, None), (0, 0, None), (5, 1, None)]
)
def test_protocol_is_negotiated_as_a_range(lowest: int, highest: int, chosen: int | None) -> None:
    assert common_protocol(lowest, highest) == chosen
