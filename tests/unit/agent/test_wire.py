"""The agent's reading of the wire: every number has its word, and nothing odd gets further than LinkLost."""

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_agent import messages as m
from pilotage_agent.errors import LinkLost
from pilotage_agent.link import wire
from pilotage_proto.attempt import AttemptKind
from pilotage_proto.v1 import fleet_pb2 as pb
from pilotage_proto.words import Effect, FailureKind, JournalState, Outcome, QueryPurpose, RefusalReason

KEY = pb.AttemptKey(execution="exe_1", path="a", host="h1", kind=pb.ATTEMPT_KIND_RUN, attempt=1)


@pytest.mark.parametrize(
    ("words", "numbers", "table"),
    [
        (AttemptKind, pb.AttemptKind, wire._KIND),
        (JournalState, pb.JournalState, wire._STATE),
        (Outcome, pb.Outcome, wire._OUTCOME),
        (FailureKind, pb.FailureKind, wire._FAILURE),
        (Effect, pb.Effect, wire._EFFECT),
        (RefusalReason, pb.RefusalReason, wire._REASON),
        (QueryPurpose, pb.QueryPurpose, wire._PURPOSE),
    ],
)
def test_every_number_of_the_protocol_has_its_word_and_back(
    words: type[StrEnum], numbers: Any, table: dict[Any, Any]
) -> None:
    pairs = {(word, number) if isinstance(number, int) else (number, word) for word, number in table.items()}
    found = {(word, int(number)) for word, number in pairs if word is not None}
    prefix = next(iter(numbers.keys())).removesuffix("UNSPECIFIED")
    assert found == {(words[name.removeprefix(prefix)], number) for name, number in numbers.items() if number}


def read(item: pb.CoordinatorItem) -> m.CoordinatorItem:
    (value,) = wire.from_response(pb.SessionResponse(items=[item]))
    return value


@pytest.mark.parametrize("reason", RefusalReason)
def test_every_refusal_is_understood(reason: RefusalReason) -> None:
    number: Any = pb.RefusalReason.Value(f"REFUSAL_REASON_{reason.name}")
    refusal = read(pb.CoordinatorItem(refusal=pb.Refusal(reason=number, message="no", retry=True)))
    assert refusal == m.Refusal(reason, "no", True)


def test_what_a_newer_coordinator_may_say_is_taken_with_care() -> None:
    refusal = pb.Refusal(message="no")
    refusal.reason = 99  # type: ignore[assignment]
    assert read(pb.CoordinatorItem(refusal=refusal)) == m.Refusal(None, "no", False)
    assignment = pb.Assignment(key=KEY)
    assignment.effect = 99  # type: ignore[assignment]
    taken = read(pb.CoordinatorItem(assignment=assignment))
    assert isinstance(taken, m.Assignment)
    assert taken.effect is Effect.ONCE
    assert wire.from_response(pb.SessionResponse(items=[pb.CoordinatorItem()])) == []


@pytest.mark.parametrize(
    "item",
    [
        pb.CoordinatorItem(assignment=pb.Assignment(step_type="a.b")),
        pb.CoordinatorItem(assignment=pb.Assignment(key=pb.AttemptKey(execution="e", path="p", attempt=1))),
        pb.CoordinatorItem(cancel=pb.Cancel(key=pb.AttemptKey(execution="e", kind=pb.ATTEMPT_KIND_RUN, attempt=1))),
        pb.CoordinatorItem(result_ack=pb.ResultAck()),
        pb.CoordinatorItem(query=pb.Query(query_id="q", step_type="a.b")),
        pb.CoordinatorItem(welcome=pb.Welcome(protocol=1, epoch=2**63)),
        pb.CoordinatorItem(assignment=pb.Assignment(key=KEY, epoch=2**64 - 1)),
        pb.CoordinatorItem(
            cancel=pb.Cancel(key=pb.AttemptKey(execution="e" * 5000, path="p", kind=pb.ATTEMPT_KIND_RUN, attempt=1))
        ),
        pb.CoordinatorItem(
            cancel=pb.Cancel(key=pb.AttemptKey(execution="e\0", path="p", kind=pb.ATTEMPT_KIND_RUN, attempt=1))
        ),
        pb.CoordinatorItem(assignment=pb.Assignment(key=KEY, timeout_ms=2**64 - 1)),
        pb.CoordinatorItem(log_ack=pb.LogAck(key=KEY, offset=2**64 - 1)),
    ],
)
def test_nonsense_is_a_lost_link_that_says_which_item(item: pb.CoordinatorItem) -> None:
    with pytest.raises(LinkLost, match=item.WhichOneof("item") or "?"):
        read(item)


def test_too_many_items_are_refused() -> None:
    with pytest.raises(LinkLost, match="1001 items"):
        wire.from_response(pb.SessionResponse(items=[pb.CoordinatorItem(ping=pb.Ping())] * 1001))


WHOLE = pb.SessionResponse(
    items=[
        pb.CoordinatorItem(welcome=pb.Welcome(protocol=1, epoch=2, heartbeat_seconds=3, log_window=4)),
        pb.CoordinatorItem(assignment=pb.Assignment(key=KEY, epoch=1, parameters=b'{"a": 1}', secrets={"a": b"b"})),
        pb.CoordinatorItem(cancel=pb.Cancel(key=KEY, epoch=1, reason="why")),
        pb.CoordinatorItem(log_ack=pb.LogAck(key=KEY, offset=5)),
        pb.CoordinatorItem(query=pb.Query(query_id="q", purpose=pb.QUERY_PURPOSE_READ, step_type="a.b")),
        pb.CoordinatorItem(goodbye=pb.Goodbye(reconnect_ms=7)),
    ]
).SerializeToString()


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(WHOLE)))
def test_no_damage_breaks_the_reader(changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(WHOLE)
    for place, value in changes:
        damaged[place] = value
    try:
        message = pb.SessionResponse.FromString(bytes(damaged[:length]))
    except Exception:
        return  # gRPC would end the stream
    try:
        wire.from_response(message)
    except LinkLost:
        return
