"""The change that an execution makes: what it was for, and how it was closed."""

from typing import Literal

from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict
from pilotage_coordinator.service.execution_record import record_of
from pilotage_coordinator.service.execution_view import ChangeRecordAnswer
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import ExecutionId, Reason, Request, rfc3339
from pilotage_coordinator.store.records import ClosingRecord


class CloseRun(Request):
    """Close the change that an execution made, once it has ended: what came of it, and what is to be known later."""

    execution: ExecutionId
    outcome: Literal["successful", "failed", "backed_out"]
    note: Reason = ""

    def subject(self) -> str:
        return self.execution


@verb("run.close")
async def close_run(services: Services, caller: Caller, request: CloseRun) -> ChangeRecordAnswer:
    """Close the change of an execution that has ended, with what came of it; once, and for good."""
    record = await record_of(services, request.execution)
    if record.progress.ended_at is None:
        raise Conflict(
            f"{request.execution} has not ended: it is {record.progress.status.replace('_', ' ')}",
            fix="close it when it has ended",
        )
    closing = ClosingRecord(request.execution, request.outcome, request.note, services.clock.now(), caller.principal)
    audit = allowed(services, caller, "run.close", request.execution, outcome=request.outcome, note=request.note)
    await services.store.policies.close_change(closing, audit)
    return await change_of(services, request.execution)


async def change_of(services: Services, execution: str) -> ChangeRecordAnswer:
    """Return what an execution was started for, and how its change was closed."""
    request = (await services.store.executions.inputs(execution)).request or {}
    change = Requested.from_json(request).change
    closing = await services.store.policies.closing(execution)
    return ChangeRecordAnswer(
        change_class=change.change_class.value if change.change_class is not None else "",
        reference=change.reference,
        reason=change.reason,
        outcome=closing.outcome if closing is not None else "",
        note=closing.note if closing is not None else "",
        closed_at=rfc3339(closing.closed_at) if closing is not None else "",
        closed_by=closing.closed_by if closing is not None else "",
    )
