"""Events as rows: every type there and back, old and newer rows read, broken ones refused."""

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.codec import EVENT_TYPES, decode, encode, type_name
from pilotage_coordinator.domain.execution.errors import UnreadableEvent
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_proto.attempt import AttemptKind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_names_are_stable() -> None:
    assert sorted(EVENT_TYPES) == [
        "analysis_begun",
        "analysis_ended",
        "approval_asked",
        "approval_awaited",
        "approval_ended",
        "approval_escalated",
        "approval_voted",
        "attempt_begun",
        "attempt_finished",
        "attempt_planned",
        "batch_held",
        "batch_opened",
        "call_returned",
        "cancel_sent",
        "compensation_settled",
        "execution_begun",
        "execution_moved",
        "execution_reopened",
        "finally_begun",
        "frame_halted",
        "frame_opened",
        "gate_answered",
        "gate_opened",
        "health_probed",
        "health_restarted",
        "health_round_opened",
        "health_settled",
        "hosts_ordered",
        "loop_opened",
        "notification_given_up",
        "notification_queued",
        "pause_asked",
        "refresh_begun",
        "refresh_ended",
        "resume_asked",
        "rollback_begun",
        "rollout_ended",
        "run_held",
        "runs_settled",
        "step_opened",
        "undo_opened",
        "unknown_settled",
    ]


@given(outputs=st.dictionaries(st.text(), JSON), error=st.text(), attempt=st.integers(1, 9))
def test_a_finished_attempt_there_and_back(outputs: dict[str, Any], error: str, attempt: int) -> None:
    event = e.AttemptFinished(
        "a",
        "h1",
        "x",
        AttemptKind.UNDO,
        attempt,
        Outcome.FAILED,
        StepRunStatus.COMPENSATION_FAILED,
        outputs,
        FailureKind.STEP,
        error,
        evidence={"tail": ["x"]},
    )
    row = json.loads(json.dumps(encode(event)))
    assert decode(type_name(event), row) == event


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_fields_without_default_are_required_and_extra_ones_ignored(name: str) -> None:
    kind = EVENT_TYPES[name]
    required = [each for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING]
    assert required, "an event without any field says nothing"
    with pytest.raises(UnreadableEvent, match=name):
        decode(name, {})


def test_a_row_of_a_newer_minor_version_is_read() -> None:
    row: dict[str, Any] = {"by": "anna", "reason": "lunch", "until": 5}
    assert decode("pause_asked", row) == e.PauseAsked("anna", "lunch")


def test_defaults_are_left_out() -> None:
    event = e.RunsSettled((RunKey("a", "h1"),), StepRunStatus.SKIPPED)
    assert encode(event) == {"runs": [["a", "h1", ""]], "status": "skipped"}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("tomorrow", {}),
        ("pause_asked", {"by": 7, "reason": ""}),
        ("frame_halted", {"path": "", "host": "", "item": "", "cause": "whim", "reason": ""}),
        ("batch_opened", {"path": "a", "item": "", "number": "2"}),
        ("runs_settled", {"runs": [["a"]], "status": "lost"}),
        ("runs_settled", {"runs": 7, "status": "skipped"}),
        ("loop_opened", {"path": "a", "host": "h", "items": [["x"]]}),
    ],
)
def test_malformed_rows_are_refused(name: str, row: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEvent, match=name):
        decode(name, row)
