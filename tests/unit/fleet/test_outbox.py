"""What waits for an agent."""

from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.fleet.outbox import Outbox
from pilotage_coordinator.fleet.wire import write_goodbye, write_ping
from pilotage_proto.limits import LARGEST_ITEM, LARGEST_MESSAGE, MOST_ITEMS
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.unit.fleet.agent_items import assignment, key


def outbox(slots: int = 2, *, opened: bool = True) -> Outbox:
    box = Outbox(slots, lambda: None)
    if opened:
        box.open()
    return box


def kinds(items: list[pb.CoordinatorItem]) -> list[str | None]:
    return [item.WhichOneof("item") for item in items]


def test_no_more_assignments_than_slots_are_unanswered() -> None:
    box = outbox(2)
    for number in range(1, 5):
        box.assign(assignment(key(number)))
    assert [item.assignment.key.execution for item in box.take()] == ["exe_1", "exe_2"]
    assert box.take() == []
    box.answered(key(1))
    assert [item.assignment.key.execution for item in box.take()] == ["exe_3"]
    assert (box.occupied, box.waiting) == (2, 1)


def test_a_started_attempt_of_the_journal_holds_a_slot() -> None:
    box = outbox(1, opened=False)
    box.occupy(key(9))
    box.assign(assignment(key(1)))
    box.open()
    assert box.take() == []
    box.answered(key(9))
    assert kinds(box.take()) == ["assignment"]


def test_a_key_is_sent_once_in_a_session() -> None:
    box = outbox(4)
    box.assign(assignment(key()))
    box.assign(assignment(key()))
    assert len(box.take()) == 1
    box.assign(assignment(key()))
    assert box.take() == []


def test_a_cancel_withdraws_what_waits_and_goes_once() -> None:
    box = outbox(1)
    box.assign(assignment(key(1)))
    box.take()
    box.assign(assignment(key(2)))
    box.cancel(key(2), 7, "stop")
    box.cancel(key(2), 7, "stop")
    box.assign(assignment(key(2)))
    box.answered(key(1))
    assert kinds(box.take()) == ["cancel"]


def test_nothing_but_answers_goes_before_the_journal_is_reconciled() -> None:
    box = outbox(opened=False)
    box.assign(assignment(key()))
    box.push(write_ping("n"))
    assert kinds(box.take()) == ["ping"]
    box.open()
    assert kinds(box.take()) == ["assignment"]


def test_only_the_newest_log_offset_is_acknowledged() -> None:
    box = outbox()
    for offset in (10, 20, 30):
        box.acknowledge_log(key(), offset)
    assert [item.log_ack.offset for item in box.take()] == [30]


def test_a_closed_box_sends_what_was_promised_and_then_its_farewell() -> None:
    box = outbox()
    box.push(write_ping("n"))
    box.assign(assignment(key()))
    box.close(write_goodbye(5))
    box.push(write_ping("late"))
    box.assign(assignment(key(2)))
    box.cancel(key(3), 7, "")
    box.close(write_goodbye(6))
    assert kinds(box.take()) == ["ping", "goodbye"]
    assert box.take() == []


def test_messages_are_bounded_in_items_and_bytes() -> None:
    box = outbox(10_000)
    for number in range(MOST_ITEMS + 1):
        box.assign(assignment(key(number)))
    assert [len(box.take()) for _ in range(3)] == [MOST_ITEMS, 1, 0]
    for number in range(10):
        box.assign(assignment(key(number, attempt=2), {"x": "y" * 700_000}))
    sizes = [sum(item.ByteSize() for item in items) for items in iter(box.take, [])]
    assert len(sizes) == 5
    assert max(sizes) < 4 * 1024 * 1024


@given(
    slots=st.integers(1, 4),
    moves=st.lists(st.tuples(st.sampled_from(["assign", "cancel", "take", "answer"]), st.integers(0, 5)), max_size=60),
)
def test_slots_and_single_sending_hold_for_every_order(slots: int, moves: list[tuple[str, int]]) -> None:
    box = outbox(slots)
    open_keys: set[str] = set()
    for move, number in moves:
        match move:
            case "assign":
                box.assign(assignment(key(number)))
            case "cancel":
                box.cancel(key(number), 7, "")
            case "answer":
                box.answered(key(number))
                open_keys.discard(f"exe_{number}")
            case "take":
                for item in box.take():
                    if item.WhichOneof("item") == "assignment":
                        assert item.assignment.key.execution not in open_keys
                        open_keys.add(item.assignment.key.execution)
        assert len(open_keys) <= slots


def test_what_no_message_can_carry_is_not_queued_and_told() -> None:
    told: list[int] = []
    box = Outbox(2, lambda: None, lambda assignment, size: told.append(size))
    box.open()
    box.assign(assignment(key(1), {"content": "x" * LARGEST_ITEM}))
    box.assign(assignment(key(2)))
    assert [item.assignment.key.execution for item in box.take()] == ["exe_2"]
    assert (len(told), told[0] > LARGEST_ITEM, box.occupied) == (1, True, 1)


def test_a_full_message_stays_below_the_protocols_bound() -> None:
    box = outbox(100)
    for number in range(1, 20):
        box.assign(assignment(key(number), {"content": "x" * (LARGEST_ITEM - 2_000)}))
    while items := box.take():
        assert pb.SessionResponse(items=items).ByteSize() < LARGEST_MESSAGE
