"""Operations on the logs of steps. What hosts say is data: bounded, and never trusted."""

from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import Field, StringConstraints

from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.execution_record import record_of
from pilotage_coordinator.service.execution_view import ChosenRuns, refuse_unknown
from pilotage_coordinator.service.ports import LogLine
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import stream, verb
from pilotage_coordinator.service.wire import Answer, ExecutionId, Page, Request, rfc3339

StepPath = Annotated[str, StringConstraints(max_length=1000)]


class ReadLogs(Request):
    """Ask for the lines of an execution, of one step (or all inside a group), of one host."""

    execution: ExecutionId
    step: StepPath = ""
    host: Annotated[str, StringConstraints(max_length=253)] = ""
    cursor: Annotated[str, StringConstraints(max_length=500)] = ""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000

    def subject(self) -> str:
        return self.execution


class FollowLogs(Request):
    """Ask for lines as they come; `after` is the cursor of the last line seen."""

    execution: ExecutionId
    step: StepPath = ""
    host: Annotated[str, StringConstraints(max_length=253)] = ""
    after: Annotated[str, StringConstraints(max_length=500)] = ""

    def subject(self) -> str:
        return self.execution


class LogAnswer(Answer):
    """One line."""

    cursor: str
    at: str
    step: str
    host: str
    item: str
    kind: str
    attempt: int
    stream: str
    text: str


@verb("logs.read")
async def read_logs(services: Services, caller: Caller, request: ReadLogs) -> Page[LogAnswer]:
    """Read what the steps of an execution wrote."""
    await _check(services, request)
    lines = await services.logs.read(request.execution, request.step, request.host, request.cursor, request.limit)
    return Page(
        items=[_answer(each) for each in lines],
        next=lines[-1].cursor if len(lines) == request.limit else "",
    )


@stream("logs.follow")
async def follow_logs(services: Services, caller: Caller, request: FollowLogs) -> AsyncIterator[LogAnswer]:
    """Follow what the steps of an execution write, until it ends."""
    await _check(services, request)
    lines = services.logs.follow(request.execution, request.step, request.host, request.after)
    return (_answer(each) async for each in lines)


async def _check(services: Services, request: ReadLogs | FollowLogs) -> None:
    """Raise what refuses an execution, step or host that is not there; nothing would be written for it."""
    record = await record_of(services, request.execution)
    if request.step or request.host:
        state = await services.runs.state(request.execution)
        refuse_unknown(record, state, ChosenRuns(step=request.step, host=request.host))


def _answer(line: LogLine) -> LogAnswer:
    return LogAnswer(
        cursor=line.cursor,
        at=rfc3339(line.at),
        step=line.path,
        host=line.host,
        item=line.item,
        kind=line.kind,
        attempt=line.attempt,
        stream=line.stream,
        text=line.text,
    )
