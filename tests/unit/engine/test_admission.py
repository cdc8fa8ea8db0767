"""Every request in every status: taken as the table says, or refused with a reason and changing nothing."""

from collections.abc import Callable

import pytest
from pilotage_coordinator.domain.approval.request import Vote
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import IllegalTransition, Refused
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import (
    EXECUTION_TRANSITIONS,
    STEP_RUN_TRANSITIONS,
    ExecutionStatus,
    StepRunStatus,
    advance_execution,
    advance_step_run,
)
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import FailureKind, OnFailure
from pilotage_coordinator.engine.admission import ADMITTED
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.engine.build import Run, here, leaf, plan

_E = ExecutionStatus


def _pending() -> Run:
    return Run(plan(leaf("a", "h1")), begin=False)


def _running() -> Run:
    return Run(plan(leaf("a", "h1"), leaf("b", "h1", after=["a"])))


def _waiting() -> Run:
    return Run(plan(here("a", "gate.pause", parameters={"name": "go"})))


def _pausing() -> Run:
    run = _running()
    run.give(i.PauseRequested("anna"))
    return run


def _paused() -> Run:
    run = _pausing()
    run.end("a@h1")
    return run


def _cancelling() -> Run:
    run = _running()
    run.give(i.CancelRequested("anna"))
    return run


def _cancelled() -> Run:
    run = _cancelling()
    run.end("a@h1", Outcome.CANCELLED)
    return run


def _finishing() -> Run:
    run = Run(plan(leaf("a", "h1"), finally_=[leaf("f", "h1")]))
    run.end("a@h1")
    return run


def _completed() -> Run:
    run = Run(plan(leaf("a", "h1", on_failure=OnFailure.CONTINUE), leaf("b", "h2")))
    run.fail("a@h1")
    run.end("b@h2")
    return run


def _failed() -> Run:
    run = _running()
    run.end("a@h1")
    run.fail("b@h1")
    return run


def _attention() -> Run:
    run = _running()
    run.end("a@h1", Outcome.INTERRUPTED)
    return run


def _rolling_back() -> Run:
    run = _failed()
    run.give(i.RollbackRequested("anna"))
    return run


def _rolled_back() -> Run:
    run = _rolling_back()
    run.end("a@h1")
    return run


def _incomplete() -> Run:
    run = _rolling_back()
    run.fail("a@h1", failure_kind=FailureKind.POLICY)
    return run


IN_STATUS: dict[ExecutionStatus, Callable[[], Run]] = {
    _E.PENDING: _pending,
    _E.WAITING_APPROVAL: _waiting,
    _E.RUNNING: _running,
    _E.PAUSING: _pausing,
    _E.PAUSED: _paused,
    _E.CANCELLING: _cancelling,
    _E.FINISHING: _finishing,
    _E.COMPLETED: _completed,
    _E.FAILED: _failed,
    _E.CANCELLED: _cancelled,
    _E.ROLLING_BACK: _rolling_back,
    _E.ROLLED_BACK: _rolled_back,
    _E.NEEDS_ATTENTION: _attention,
    _E.ROLLBACK_INCOMPLETE: _incomplete,
}

NOBODY = AttemptKey("exe_1", "a", "h9", "", AttemptKind.RUN, 1)

INPUTS: list[i.Input] = [
    i.Begin("seed", "anna"),
    i.AttemptStarted(NOBODY, 1),
    i.AttemptEnded(AttemptReport(NOBODY, 1, Outcome.SUCCEEDED)),
    i.HostChanged("h1"),
    i.Tick(),
    i.Recovered(),
    i.Continue(anew=True),
    i.DeliveryGivenUp("ntf_1", "ops", 15, "refused"),
    i.PauseRequested("anna"),
    i.ResumeRequested("anna"),
    i.CancelRequested("anna"),
    i.GateReleased("go", "anna"),
    i.ApprovalAnswered("apr_1", "sha256:1", Vote("bert", "approve")),
    i.ApprovalWithdrawn("apr_1", "coordinator", "it drifted"),
    i.UnknownResolved(RunKey("a", "h1"), "failed", "anna"),
    i.RetryFailed("anna"),
    i.RerunFrom("a", "anna"),
    i.Drift("other"),
    i.RollbackRequested("anna"),
]

NEEDS_MORE = {
    i.GateReleased: _E.WAITING_APPROVAL,
    i.ApprovalAnswered: None,
    i.ApprovalWithdrawn: None,
    i.UnknownResolved: _E.NEEDS_ATTENTION,
}
"""Requests that also need something to answer: the status in which these executions have it."""


def test_every_status_and_every_input_is_walked() -> None:
    assert set(IN_STATUS) == set(ExecutionStatus)
    assert {type(each) for each in INPUTS} == set(i.Input.__args__)


@pytest.mark.parametrize("input", INPUTS, ids=lambda input: type(input).__name__)
@pytest.mark.parametrize("status", list(ExecutionStatus))
def test_each_input_in_each_status(status: ExecutionStatus, input: i.Input) -> None:
    run = IN_STATUS[status]()
    assert run.status == status
    admitted = ADMITTED.get(type(input))
    answerable = NEEDS_MORE.get(type(input), status) is status
    if admitted is None or (status in admitted and answerable):
        run.give(input)
        run.refold()
        if admitted is None:
            assert run.status == status
        return
    before = run.state
    with pytest.raises(Refused) as refused:
        run.give(input)
    assert run.state is before
    said = str(refused.value)
    assert "exe_1" in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (_E.COMPLETED, "It has ended already."),
        (_E.ROLLED_BACK, "It has ended already."),
        (_E.ROLLING_BACK, "Pause it instead, or let the rollback come to its end."),
    ],
)
def test_what_cannot_be_cancelled_says_what_can_be_done(status: ExecutionStatus, advice: str) -> None:
    with pytest.raises(Refused) as refused:
        IN_STATUS[status]().give(i.CancelRequested("anna"))
    assert str(refused.value) == f"exe_1 cannot be cancelled: it is {status}. {advice}"


@pytest.mark.parametrize("to", list(ExecutionStatus))
@pytest.mark.parametrize("current", list(ExecutionStatus))
def test_advance_of_executions(current: ExecutionStatus, to: ExecutionStatus) -> None:
    if to in EXECUTION_TRANSITIONS[current]:
        assert advance_execution(current, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"from {current} to {to}"):
            advance_execution(current, to)


@pytest.mark.parametrize("to", list(StepRunStatus))
@pytest.mark.parametrize("current", list(StepRunStatus))
def test_advance_of_step_runs(current: StepRunStatus, to: StepRunStatus) -> None:
    if to in STEP_RUN_TRANSITIONS[current]:
        assert advance_step_run(current, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"from {current} to {to}"):
            advance_step_run(current, to)


def test_what_ended_never_changes_by_itself() -> None:
    for status in ExecutionStatus:
        if status.terminal:
            assert not EXECUTION_TRANSITIONS[status] & {each for each in ExecutionStatus if each.terminal}
