"""Operations that steer an execution: each hands one input to the engine, which takes or refuses it."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from pilotage_coordinator.domain.execution import inputs
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.execution_record import record_of
from pilotage_coordinator.service.execution_view import ExecutionSummary, summary
from pilotage_coordinator.service.requested import requested
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import ExecutionId, Name, Reason, Request


class ControlRun(Request):
    """Ask something of an execution."""

    execution: ExecutionId
    reason: Reason = ""

    def subject(self) -> str:
        return self.execution


class RetryRun(Request):
    """Run again what failed, was cancelled or not run; or, with `from_step`, a step and all that depends on it."""

    execution: ExecutionId
    from_step: Annotated[str, StringConstraints(max_length=1000)] | None = None

    def subject(self) -> str:
        return self.execution


class ResolveRun(Request):
    """Say what became of a step run that is unknown."""

    execution: ExecutionId
    step: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    host: Annotated[str, StringConstraints(max_length=253)] = ""
    item: Annotated[str, StringConstraints(max_length=1000)] = ""
    outcome: Literal["succeeded", "failed", "retry"]
    comment: Reason = ""

    def subject(self) -> str:
        return self.execution


class ReleaseGate(Request):
    """Answer a gate that an execution waits at."""

    execution: ExecutionId
    gate: Name
    outcome: Literal["approved", "denied"] = "approved"
    comment: Reason = ""

    def subject(self) -> str:
        return self.execution


@verb("run.pause")
async def pause_run(services: Services, caller: Caller, request: ControlRun) -> ExecutionSummary:
    """Start nothing new; what runs goes on to its end."""
    asked = inputs.PauseRequested(caller.principal, request.reason)
    return await _submit(services, caller, "run.pause", request.execution, asked, reason=request.reason)


@verb("run.resume")
async def resume_run(services: Services, caller: Caller, request: ControlRun) -> ExecutionSummary:
    """Go on after a pause."""
    asked = inputs.ResumeRequested(caller.principal)
    return await _submit(services, caller, "run.resume", request.execution, asked, reason=request.reason)


@verb("run.cancel")
async def cancel_run(services: Services, caller: Caller, request: ControlRun) -> ExecutionSummary:
    """Stop what runs; `cancelling` until every host concerned has durably answered."""
    asked = inputs.CancelRequested(caller.principal, request.reason)
    return await _submit(services, caller, "run.cancel", request.execution, asked, reason=request.reason)


@verb("run.retry")
async def retry_run(services: Services, caller: Caller, request: RetryRun) -> ExecutionSummary:
    """Run again what failed; what succeeded stays.

    The policy is asked about the whole plan once more, for the caller: a retry is a start with somebody's rights.
    """
    record = await record_of(services, request.execution)
    about: dict[str, Json] = {"plan_digest": record.plan_digest, "started_by": record.requested_by}
    asked: inputs.Input = inputs.RetryFailed(caller.principal)
    if request.from_step is not None:
        asked = inputs.RerunFrom(request.from_step, caller.principal)
        about["from_step"] = request.from_step
    audit = allowed(services, caller, "run.retry", request.execution, policy_version=services.policies.version, **about)
    await services.runs.reopen(request.execution, asked, requested(caller, None), audit=audit)
    return summary(await record_of(services, request.execution))


@verb("run.resolve")
async def resolve_run(services: Services, caller: Caller, request: ResolveRun) -> ExecutionSummary:
    """Decide what became of a step run that nobody knows the end of."""
    key = RunKey(request.step, request.host, request.item)
    asked = inputs.UnknownResolved(key, request.outcome, caller.principal, request.comment)
    return await _submit(
        services, caller, "run.resolve", request.execution, asked,
        run=str(key), outcome=request.outcome, comment=request.comment,
    )  # fmt: skip


@verb("run.release")
async def release_gate(services: Services, caller: Caller, request: ReleaseGate) -> ExecutionSummary:
    """Answer a gate that an execution waits at."""
    asked = inputs.GateReleased(request.gate, caller.principal, request.outcome, request.comment)
    return await _submit(
        services, caller, "run.release", request.execution, asked,
        gate=request.gate, outcome=request.outcome, comment=request.comment,
    )  # fmt: skip


async def _submit(
    services: Services, caller: Caller, operation: str, execution: str, asked: inputs.Input, **about: Json
) -> ExecutionSummary:
    await record_of(services, execution)
    await services.runs.submit(execution, asked, audit=allowed(services, caller, operation, execution, **about))
    return summary(await record_of(services, execution))
