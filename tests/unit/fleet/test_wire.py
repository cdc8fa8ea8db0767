"""Reading what agents send, lies included."""

import contextlib
import json

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.domain.fleet import AttemptReport, HostInventory, LogPiece, Outcome
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.fleet.errors import BadMessage, RefusalReason, Refused
from pilotage_coordinator.fleet.messages import Accepted, Heartbeat, Hello, JournalPage, Progress, Started
from pilotage_coordinator.fleet.wire import read_items, write_assignment, write_refusal
from pilotage_proto.attempt import AttemptKind
from pilotage_proto.limits import LARGEST_EVIDENCE, LARGEST_OUTPUTS, MOST_ITEMS
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.unit.fleet import agent_items as say


def test_every_item_becomes_its_value() -> None:
    of = say.key()
    entry = pb.JournalEntry(key=say.wire_key(of), state=pb.JOURNAL_STATE_EXITED, epoch=7, result=say.wire_result(of))
    items = [
        say.hello(),
        say.journal(entry),
        say.accepted(of),
        say.started(of),
        say.result(of),
        say.log(of, b"x\n", 4),
        pb.AgentItem(progress=pb.Progress(key=say.wire_key(of), fraction=-1, text="t")),
        say.heartbeat("n"),
        pb.AgentItem(inventory=pb.Inventory(facts=b"{}")),
    ]
    kinds = [Hello, JournalPage, Accepted, Started, AttemptReport, LogPiece, Progress, Heartbeat, HostInventory]
    messages = read_items(items)
    assert [type(message) for message in messages] == kinds
    report = messages[4]
    assert isinstance(report, AttemptReport)
    assert (report.key, report.outcome, report.outputs) == (of, Outcome.SUCCEEDED, {"exit": 0})
    progress = messages[6]
    assert isinstance(progress, Progress)
    assert progress.fraction is None


def test_items_of_a_newer_protocol_are_left_out() -> None:
    unknown = pb.AgentItem.FromString(bytes([0xFA, 0x07, 0x00]))
    assert read_items([unknown, say.heartbeat()]) == read_items([say.heartbeat()])


def broken(field: str, value: object) -> pb.AgentItem:
    item = say.result(say.key())
    place, name = (item.result.key, field[4:]) if field.startswith("key.") else (item.result, field)
    setattr(place, name, value)
    return item


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (broken("outcome", 0), "outcome 0"),
        (broken("outcome", 77), "outcome 77"),
        (broken("failure_kind", 77), "failure_kind 77"),
        (broken("outputs", b"[1]"), "no JSON object"),
        (broken("outputs", b"{"), "no JSON"),
        (broken("outputs", b'{"a": NaN}'), "no JSON"),
        (broken("outputs", b"\xff"), "no JSON"),
        (broken("outputs", b'{"a":' * 10_000), "no JSON"),
        (broken("outputs", b'{"a": ' + b"9" * 5_000 + b"}"), "no JSON"),
        (broken("outputs", b'{"a":"' + b"x" * LARGEST_OUTPUTS + b'"}'), f"at most {LARGEST_OUTPUTS}"),
        (broken("outputs", b'{"exit":1}'), "its digest is not that"),
        (broken("outputs", b'{"exit":1e999}'), "no canonical form"),
        (broken("outputs", b'{"exit":9007199254740993}'), "no canonical form"),
        (broken("outcome", pb.OUTCOME_FAILED), "its digest is not that"),
        (broken("error", "no"), "its digest is not that"),
        (broken("digest", ""), "its digest is not that"),
        (broken("evidence", b'{"log":"' + b"x" * LARGEST_EVIDENCE + b'"}'), f"at most {LARGEST_EVIDENCE}"),
        (broken("error", "e" * 20_000), "at most"),
        (broken("key.execution", ""), "key.execution is empty"),
        (broken("key.host", "h" * 300), "at most"),
        (broken("key.attempt", 0), "number 0"),
        (broken("key.kind", 0), "kind 0"),
        (say.log(say.key(), b"x" * 1_100_000), "at most"),
        (say.log(say.key(), b"x", 2**63 - 1), "beyond any file"),
        (say.hello(instance=""), "instance_id is empty"),
        (
            say.journal(
                pb.JournalEntry(key=say.wire_key(say.key()), state=9)  # type: ignore[arg-type]
            ),
            "state 9",
        ),
        (
            say.journal(
                pb.JournalEntry(
                    key=say.wire_key(say.key(1)), state=pb.JOURNAL_STATE_EXITED, result=say.wire_result(say.key(2))
                )
            ),
            "another attempt",
        ),
    ],
)
def test_lies_are_refused_by_name(item: pb.AgentItem, text: str) -> None:
    with pytest.raises(BadMessage, match=text):
        read_items([item])


def test_too_many_items_are_refused() -> None:
    with pytest.raises(BadMessage, match="1001 items"):
        read_items([say.heartbeat()] * (MOST_ITEMS + 1))


WHOLE = pb.SessionRequest(
    items=[say.hello(), say.journal(), say.result(say.key()), say.log(say.key(), b"x"), say.heartbeat("n")]
).SerializeToString()


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(WHOLE)))
def test_no_damage_breaks_the_reader(changes: list[tuple[int, int]], length: int) -> None:
    """Whatever protobuf accepts is read or refused; nothing else is raised."""
    damaged = bytearray(WHOLE)
    for place, value in changes:
        damaged[place] = value
    with contextlib.suppress(DecodeError, BadMessage):
        read_items(pb.SessionRequest.FromString(bytes(damaged[:length])).items)


def test_assignments_are_written_whole() -> None:
    sent = say.assignment(say.key(), {"größe": 1, "tuple": (1, 2)})
    wire = write_assignment(sent).assignment
    assert json.loads(wire.parameters) == {"größe": 1, "tuple": [1, 2]}
    assert (wire.effect, wire.key.kind, wire.timeout_ms) == (pb.EFFECT_ONCE, pb.ATTEMPT_KIND_RUN, 1_500)
    with pytest.raises(ValueError, match="JSON"):
        write_assignment(say.assignment(say.key(), {"x": float("nan")}))


def test_every_enum_value_has_its_wire_form() -> None:
    for effect in Effect:
        assert write_assignment(say.assignment(say.key())).assignment.effect
        assert pb.Effect.Value(f"EFFECT_{effect.name}")
    for kind in AttemptKind:
        assert pb.AttemptKind.Value(f"ATTEMPT_KIND_{kind.name}")
    for reason in RefusalReason:
        refusal = write_refusal(Refused(reason, "text", retry=True)).refusal
        assert refusal.reason == pb.RefusalReason.Value(f"REFUSAL_REASON_{reason.name}")
