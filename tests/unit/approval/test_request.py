"""A request for approval: who may answer, what counts, and that whatever comes first is the only outcome."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from pilotage_coordinator.domain.approval.errors import AnswerRefused
from pilotage_coordinator.domain.approval.gate import Escalation, Gate, OnTimeout, in_words
from pilotage_coordinator.domain.approval.request import (
    Answered,
    Fact,
    Outcome,
    Request,
    TimePassed,
    Vote,
    Voter,
    Withdrawn,
    advance,
    asked,
    vote_of,
)

HOUR = 3600 * 1_000_000
PLAN = "sha256:aa"
EVERYBODY = frozenset({"anna", "bert", "carl", "dora", "emil"})


def request(**more: object) -> Request:
    return asked("apr_1", PLAN, Gate(**more), 0, ["anna"])  # type: ignore[arg-type]


def answer(by: str, say: str = "approve", digest: str = PLAN, **more: object) -> Answered:
    return Answered(Vote(by, say, **more), digest, EVERYBODY)  # type: ignore[arg-type]


def test_one_of_those_who_may_is_enough_where_one_is_asked() -> None:
    after = advance(request(), answer("bert"), 1)
    assert (after.outcome, after.reason) == (Outcome.APPROVED, "approved by bert")


def test_a_quorum_takes_as_many_persons() -> None:
    once = advance(request(required=2), answer("bert"), 1)
    assert once.outcome is None
    with pytest.raises(AnswerRefused, match="bert has answered apr_1 already"):
        advance(once, answer("bert"), 2)
    assert advance(once, answer("carl"), 2).outcome is Outcome.APPROVED


def test_the_voice_of_somebody_counts_once_whoever_raises_it() -> None:
    once = advance(request(required=2), answer("carl", voice="bert"), 1)
    for again in (answer("bert"), answer("carl"), answer("dora", voice="bert"), answer("dora", voice="carl")):
        with pytest.raises(AnswerRefused, match="already"):
            advance(once, again, 2)
    assert advance(once, answer("dora"), 2).outcome is Outcome.APPROVED


def test_a_vote_of_somebody_removed_since_does_not_count() -> None:
    once = advance(request(required=2), answer("bert"), 1)
    later = advance(once, Answered(Vote("carl", "approve"), PLAN, EVERYBODY - {"bert"}), 2)
    assert later.outcome is None
    assert [each.by for each in later.votes] == ["carl"]


def test_one_no_is_a_no() -> None:
    once = advance(request(required=3), answer("bert"), 1)
    after = advance(once, answer("carl", "reject", comment="not on a Friday"), 2)
    assert (after.outcome, after.reason) == (Outcome.DENIED, "denied by carl: not on a Friday")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer("anna"), "anna asked for this and may not approve it"),
        (answer("carl", voice="anna"), "anna asked for this and may not approve it"),
        (answer("bert", digest="sha256:bb"), "the answer is about plan sha256:bb"),
    ],
)
def test_what_is_no_approval(given: Answered, why: str) -> None:
    before = request()
    with pytest.raises(AnswerRefused, match=why):
        advance(before, given, 1)


def test_who_is_not_asked_is_not_heard() -> None:
    named = request(of=("role:dba",))
    with pytest.raises(AnswerRefused, match="bert is not asked in apr_1: 1 of role:dba is"):
        advance(named, answer("bert"), 1)
    assert advance(named, answer("bert", stands_on="role:dba"), 1).outcome is Outcome.APPROVED


def test_a_comment_that_is_asked_for_must_be_there() -> None:
    with pytest.raises(AnswerRefused, match="asks for a comment"):
        advance(request(comment=True), answer("bert", comment="  "), 1)
    with pytest.raises(AnswerRefused, match="asks for a comment"):
        advance(request(comment=True), answer("bert", "reject"), 1)


def test_time_makes_a_no_and_an_answer_that_is_late_is_none() -> None:
    waiting = request(timeout=HOUR)
    assert advance(waiting, TimePassed(), HOUR - 1) is waiting
    with pytest.raises(AnswerRefused, match="expired"):
        advance(waiting, answer("bert"), HOUR)
    assert advance(waiting, TimePassed(), HOUR).outcome is Outcome.EXPIRED


def test_an_escalation_asks_others_too_and_never_makes_anybody_of_nobody() -> None:
    steps = (Escalation(2 * HOUR, "role:cto"), Escalation(HOUR, "dora"))
    waiting = request(of=("bert",), escalate=steps, timeout=3 * HOUR)
    assert waiting.next_change == HOUR
    once = advance(waiting, TimePassed(), HOUR)
    assert (once.of, once.escalated, once.next_change) == (("bert", "dora"), 1, 2 * HOUR)
    twice = advance(once, TimePassed(), 2 * HOUR)
    assert (twice.of, twice.next_change) == (("bert", "dora", "role:cto"), 3 * HOUR)
    open_to_all = advance(request(escalate=steps), TimePassed(), 2 * HOUR)
    assert (open_to_all.of, open_to_all.escalated) == ((), 2)


def test_the_only_person_there_is_may_approve_what_they_asked_for_and_it_shows() -> None:
    waiting = request(required=2, of=("role:dba",))
    vote = vote_of(waiting, Voter("anna", alone=True), frozenset())
    assert vote.alone
    after = advance(waiting, Answered(vote, PLAN, EVERYBODY), 1)
    assert (after.outcome, after.reason) == (Outcome.APPROVED, "approved by anna (self-approved)")


def test_the_only_person_there_is_needs_no_exception_for_what_somebody_else_asked() -> None:
    assert not vote_of(request(), Voter("bert", alone=True), frozenset()).alone


def test_a_vote_stands_on_what_entitles_to_it() -> None:
    named = request(of=("role:dba", "carl"))
    assert vote_of(named, Voter("carl"), frozenset()).stands_on == "carl"
    assert vote_of(named, Voter("bert", frozenset({"dba"})), frozenset()).stands_on == "role:dba"
    lent = vote_of(named, Voter("dora", frozenset(), (("carl", frozenset()),)), frozenset())
    assert (lent.voice, lent.stands_on) == ("carl", "carl")
    with pytest.raises(AnswerRefused, match="dora is not asked"):
        vote_of(named, Voter("dora", frozenset({"web"})), frozenset())


def test_whoever_asked_finds_nobody_to_lend_their_say_to() -> None:
    with pytest.raises(AnswerRefused, match="anna asked for this"):
        vote_of(request(of=("anna",)), Voter("bert", frozenset(), (("anna", frozenset()),)), frozenset())
    with pytest.raises(AnswerRefused, match="anna asked for this"):
        vote_of(request(of=("bert",)), Voter("anna", frozenset(), (("bert", frozenset()),)), frozenset())


def test_the_sponsor_of_an_assistant_may_approve_unless_the_gate_is_strict() -> None:
    loose = asked("apr_1", PLAN, Gate(), 0, ["claude"])
    assert vote_of(loose, Voter("bert"), frozenset({"bert"})).by == "bert"
    strict = asked("apr_1", PLAN, Gate(strict=True), 0, ["claude"])
    with pytest.raises(AnswerRefused, match="bert answers for the assistant that asked"):
        vote_of(strict, Voter("bert"), frozenset({"bert"}))


def test_a_gate_there_and_back() -> None:
    gate = Gate(2, ("role:dba",), HOUR, OnTimeout.REVERT, (Escalation(5, "carl"),), True, "go on?", "the step", True)
    assert Gate.from_json(gate.to_json()) == gate
    assert Gate.from_json({}) == Gate()
    assert in_words(gate) == "2 of role:dba"
    assert in_words(Gate(required=2)) == "2 of those who may decide"


# --- races ------------------------------------------------------------------------------------------------------------

Draw = random.Random


def _facts(draw: Draw, gate: Gate) -> list[tuple[int, Fact]]:
    """Draw what happens to a request, and when: answers that count and that do not, time, a cancel."""
    people = ["anna", "bert", "carl", "dora", "emil"]
    made: list[Callable[[], Fact]] = [
        lambda: answer(draw.choice(people), "approve"),
        lambda: answer(draw.choice(people), "approve", voice=draw.choice(people)),
        lambda: answer(draw.choice(people), "reject"),
        lambda: answer(draw.choice(people), "approve", "sha256:bb"),
        lambda: Answered(Vote(draw.choice(people), "approve"), PLAN, frozenset(draw.sample(people, 3))),
        TimePassed,
        lambda: Withdrawn("cancelled"),
    ]
    weights = [8, 3, 1, 1, 3, 3, 1]
    chosen = draw.choices(made, weights, k=draw.randint(2, 9))
    moments = sorted(draw.randint(1, round(gate.timeout * 1.2)) for _ in chosen)
    return [(at, make()) for at, make in zip(moments, chosen, strict=True)]


def test_one_request_has_one_outcome_in_a_hundred_thousand_interleavings() -> None:
    """Whatever comes in whatever order: the first that ends it wins, nothing changes it, and a yes is a quorum."""
    draw = random.Random(7)
    ended = dict.fromkeys(Outcome, 0)
    for _ in range(100_000):
        gate = Gate(required=draw.choice([1, 1, 2, 3]), timeout=1000)
        state = asked("apr_1", PLAN, gate, 0, ["anna"])
        for at, fact in _facts(draw, gate):
            before = state
            try:
                state = advance(state, fact, at)
            except AnswerRefused:
                assert state is before
                continue
            assert before.outcome is None
            assert not (isinstance(fact, Answered) and at >= gate.timeout)
            if state.outcome is Outcome.APPROVED:
                assert isinstance(fact, Answered)
                _is_a_quorum(state, fact)
        if state.outcome is not None:
            ended[state.outcome] += 1
            for last in (answer("emil"), answer("emil", "reject"), TimePassed(), Withdrawn("late")):
                with pytest.raises(AnswerRefused):
                    advance(state, last, 1)
    assert min(ended.values()) > 1000, "every outcome has its races"


def _is_a_quorum(state: Request, last: Answered) -> None:
    votes = state.votes
    assert last.plan_digest == state.plan_digest
    assert all(each.answer == "approve" for each in votes)
    assert all(each.by in last.standing for each in votes[:-1])
    said = [each.by for each in votes] + [each.voice for each in votes if each.voice and each.voice != each.by]
    assert len(said) == len(set(said)), "nobody spoke twice, and nobody was spoken for twice"
    assert "anna" not in said
    assert len(votes) >= state.gate.required


def test_a_later_state_never_loses_its_gate() -> None:
    once = advance(request(required=2), answer("bert"), 1)
    assert replace(once, votes=()) == request(required=2)
