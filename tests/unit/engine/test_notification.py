"""`notify.send`: what the step records, what it makes of texts from anywhere, and that its histories fold alike."""

from typing import Any

import pytest
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.notification import LARGEST_MESSAGE, composed, notification_id
from pilotage_coordinator.steps import coordinator_steps

from tests.unit.engine.build import FakeWorld, Run, here, leaf, plan, tries


def told(id: str = "told", **parameters: Any) -> Any:
    return here(id, "notify.send", parameters={"to": "ops", "text": "hello", **parameters})


def world() -> FakeWorld:
    found = FakeWorld(["h1"])
    found.coordinator_steps = coordinator_steps({"ops"})
    return found


def queued(run: Run) -> list[e.NotificationQueued]:
    return [event for event, _ in run.history if isinstance(event, e.NotificationQueued)]


def test_the_message_is_recorded_right_before_the_end_of_its_step() -> None:
    run = Run(plan(told(severity="error", title="T", table=[{"a": 1}])), world=world())
    kinds = [type(event).__name__ for event, _ in run.history]
    assert kinds.index("RunsSettled") == kinds.index("NotificationQueued") + 1
    (event,) = queued(run)
    assert event.notification == notification_id("exe_1", RunKey("told"), 1)
    assert (event.channel, event.path, event.host) == ("ops", "told", "")
    assert event.message["severity"] == "error"
    assert (event.message["columns"], event.message["rows"]) == (["a"], [["1"]])
    outputs = run.state.runs[RunKey("told")].outputs
    assert outputs == {"notification": event.notification, "channel": "ops", "delivery": "queued"}
    run.refold()


def test_the_same_history_gives_the_same_ids_and_another_try_another() -> None:
    first, second = (Run(plan(told(), leaf("a", "h1")), world=world()) for _ in range(2))
    assert first.history == second.history
    ids = {notification_id("exe_1", RunKey("told", "", "x"), attempt) for attempt in (1, 2)}
    assert len(ids | {notification_id("exe_2", RunKey("told", "", "x"), 1)}) == 3


def test_it_may_stand_in_finally_and_say_how_it_ended() -> None:
    body = here("sane", parameters={"that": "false"})
    end = told(text="${{ execution.outcome }}", severity="${{ execution.outcome == 'completed' ? 'info' : 'error' }}")
    run = Run(plan(body, finally_=[end]), world=world())
    assert run.status == "failed"
    (event,) = queued(run)
    assert (event.message["text"], event.message["severity"]) == ("failed", "error")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"to": "nobody"}, "no channel `nobody`: configured are `ops`"),
        ({"severity": "loud"}, "one of info, warning, error"),
        ({"table": [1]}, "a list of objects"),
        ({"table": "x"}, "a list of objects"),
        ({"text": 3}, "must be texts"),
    ],
)
def test_what_cannot_be_sent_fails_the_step_and_records_nothing(parameters: dict[str, Any], reason: str) -> None:
    run = Run(plan(told(**parameters)), world=world())
    failed = run.state.runs[RunKey("told")]
    assert (failed.status, failed.failure_kind) == ("failed", "parameter")
    assert reason in failed.error
    assert queued(run) == []


def test_that_one_was_given_up_is_taken_in_every_status_and_changes_nothing() -> None:
    run = Run(plan(told(), leaf("a", "h1")), world=world())
    lost = i.DeliveryGivenUp("ntf_1", "ops", 15, "refused")
    before = run.state
    assert run.give(lost).events == (e.NotificationGivenUp("ntf_1", "ops", 15, "refused"),)
    assert run.state == before
    over = Run(plan(told()), world=world())
    assert ExecutionStatus(over.status).terminal
    over.give(lost)
    over.refold()


def test_texts_of_hosts_are_plain_and_never_name_a_secret() -> None:
    message = composed("a\x1b[31mb\r\nc\x00 secret://db/password!", "t\nu\x07", "info", [{"k\n": "v\tw\u202e"}])
    assert message.text == "a\ufffd[31mb\nc\ufffd secret://…"
    assert message.title == "t u\ufffd"
    assert (message.columns, message.rows) == (("k",), (("v w\ufffd",),))


@pytest.mark.parametrize("letter", ["x", "ü", "😀", '"'])
def test_a_message_is_cut_to_its_bound_and_says_so(letter: str) -> None:
    table: list[Any] = [{f"column {n}": letter * 400 for n in range(20)} for _ in range(300)]
    message = composed(letter * 100_000, letter * 300, "info", table)
    assert len(message.title) == 200
    assert message.text.endswith("(cut)")
    assert len(message.columns) == 16
    assert 0 < message.left_out < 300
    assert len(message.rows) + message.left_out == 300
    texts = [message.text, message.title, *message.columns, *(cell for row in message.rows for cell in row)]
    assert sum(len(each.encode()) for each in texts) <= LARGEST_MESSAGE


def test_rows_may_differ_and_values_are_shown() -> None:
    message = composed("t", "", "info", [{"host": "a", "ok": True}, {"host": "b", "outputs": {"n": [1, None]}}])
    assert message.columns == ("host", "ok", "outputs")
    assert message.rows == (("a", "true", ""), ("b", "", '{"n": [1, null]}'))


def test_a_retry_of_the_step_is_another_message() -> None:
    step = here("told", "notify.send", parameters={"to": "ops", "text": "${{ 'x' }}"}, retry=tries(2))
    run = Run(plan(step, here("sane", parameters={"that": "false"}, after=["told"])), world=world())
    run.give(i.RerunFrom("told", "anna"))
    assert [event.notification for event in queued(run)] == [
        notification_id("exe_1", RunKey("told"), attempt) for attempt in (1, 2)
    ]
