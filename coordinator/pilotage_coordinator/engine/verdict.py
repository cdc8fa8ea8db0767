"""What the end of an attempt makes of its run (SEMANTICS: Steps). Never runs a `once` step twice by itself."""

from dataclasses import dataclass

from pilotage_coordinator.domain.execution.run import OpenAttempt, StepRun
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import FailureKind, PlannedStep
from pilotage_coordinator.engine import retrying

_S = StepRunStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """The run's next status; pending (or compensating) with the time of the next attempt."""

    becomes: StepRunStatus
    failure_kind: FailureKind | None = None
    error: str = ""
    retry_at: int = 0


def of_run(
    execution: str, step: PlannedStep, run: StepRun, attempt: OpenAttempt, report: AttemptReport, now: int
) -> Verdict:
    """Judge an attempt at the step's own work."""
    if report.outcome is Outcome.SUCCEEDED:
        return Verdict(_S.SUCCEEDED)
    stopping = attempt.cancel_reason is not None
    if report.outcome is Outcome.INTERRUPTED:
        return _interrupted(execution, step, run, attempt, report, now)
    never_ran = report.outcome is Outcome.DECLINED or (report.outcome is Outcome.CANCELLED and not report.started_at)
    if stopping and (report.outcome is Outcome.CANCELLED or never_ran):
        if run.expired:
            return _expired(step)
        return Verdict(_S.CANCELLED, error=attempt.cancel_reason or "")
    kind = report.failure_kind or (FailureKind.STEP if report.outcome is Outcome.FAILED else FailureKind.INFRASTRUCTURE)
    error = report.error or f"the attempt was {report.outcome} on the host"
    if stopping:
        return _expired(step) if run.expired else Verdict(_S.FAILED, kind, error)
    # Stopped on the host without our asking: it may have done half of its work.
    again = report.outcome is not Outcome.CANCELLED or never_ran or step.effect.restartable
    retry_at = retrying.next_try(execution, step, run, attempt.attempt, run.tries, kind, now) if again else 0
    return Verdict(_S.PENDING if retry_at else _S.FAILED, kind, error, retry_at)


def _expired(step: PlannedStep) -> Verdict:
    return Verdict(_S.FAILED, FailureKind.STEP, f"the deadline of {step.path} passed: it was stopped")


def _interrupted(
    execution: str, step: PlannedStep, run: StepRun, attempt: OpenAttempt, report: AttemptReport, now: int
) -> Verdict:
    error = report.error or "the attempt was interrupted: it began, and nobody knows how it ended"
    infrastructure = FailureKind.INFRASTRUCTURE
    out_of_order = report.evidence.get("recovery") == "failed"
    known = step.effect.restartable or report.evidence.get("probe") == "not_done"
    if out_of_order or not known:
        if step.on_unknown == "fail":
            return Verdict(_S.FAILED, infrastructure, error)
        return Verdict(_S.UNKNOWN, infrastructure, error)
    if attempt.cancel_reason is not None:
        return _expired(step) if run.expired else Verdict(_S.CANCELLED, error=attempt.cancel_reason)
    if run.interruptions >= retrying.MOST_INTERRUPTIONS:
        return Verdict(_S.FAILED, infrastructure, f"{error}; {run.interruptions + 1} times in a row")
    wait = retrying.delay(step.retry, execution, run.key, attempt.attempt, run.interruptions + 1)
    return Verdict(_S.PENDING, infrastructure, error, now + wait)


def of_undo(
    execution: str, step: PlannedStep, run: StepRun, attempt: OpenAttempt, report: AttemptReport, now: int
) -> Verdict:
    """Judge an attempt at a compensation. An undo is idempotent by contract, so it may always be made again."""
    if report.outcome is Outcome.SUCCEEDED:
        return Verdict(_S.COMPENSATED)
    error = report.error or f"the compensation was {report.outcome}"
    kind = report.failure_kind or FailureKind.INFRASTRUCTURE
    bound = retrying.MOST_INTERRUPTIONS if report.outcome is not Outcome.FAILED else retrying.UNDO_TRIES
    refused = kind in (FailureKind.PARAMETER, FailureKind.POLICY, FailureKind.APPROVAL)
    if refused or run.undo_tries >= bound:
        return Verdict(_S.COMPENSATION_FAILED, kind, error)
    wait = retrying.delay(step.retry, execution, run.key, attempt.attempt, run.undo_tries)
    return Verdict(_S.COMPENSATING, kind, error, now + wait)
