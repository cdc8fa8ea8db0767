"""Operations that start executions and look at them. What steers a running one stands in `control`."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Annotated

from pilotage_proto.canonical import canonical
from pydantic import AwareDatetime, Field, JsonValue, StringConstraints, model_validator

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.states import ExecutionStatus, StepRunStatus
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.beside import aside
from pilotage_coordinator.runtime.scheduling import StepOf
from pilotage_coordinator.service import plans
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.changes import change_of
from pilotage_coordinator.service.errors import Conflict, Invalid
from pilotage_coordinator.service.execution_record import record_of
from pilotage_coordinator.service.execution_view import (
    ChosenRuns,
    EventAnswer,
    ExecutionDetail,
    ExecutionSummary,
    ProgressAnswer,
    detail,
    event,
    progress,
    summary,
)
from pilotage_coordinator.service.logs import StepPath
from pilotage_coordinator.service.plans import Argument, Selector, WhatToRun
from pilotage_coordinator.service.ports import Planned
from pilotage_coordinator.service.requested import ClassName, class_of, requested
from pilotage_coordinator.service.seen import shown
from pilotage_coordinator.service.seen_blueprints import strangers
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import require
from pilotage_coordinator.service.verb import allowed, stream, verb
from pilotage_coordinator.service.wire import (
    Answer,
    Digest,
    ExecutionId,
    Name,
    Page,
    PageRequest,
    Reason,
    Request,
    microseconds,
)
from pilotage_coordinator.service.within import Wanted
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import AnswerRecord, ExecutionFilter, ExecutionRecord

START = "run.start"
ANSWER_LIFE = 24 * 3600 * 1_000_000
"""Microseconds for which a start is remembered under its idempotency key."""

PROGRESS_PAUSE = 0.5
"""Seconds between two looks at the progress of running steps."""

Reference = Annotated[str, StringConstraints(max_length=500)]
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class StartRun(Request):
    """Start a plan that was made before, by its digest; or plan and start in one go.

    The same `idempotency_key` again within a day answers the first execution instead of starting another one.
    """

    plan_digest: Digest | None = None
    what: WhatToRun | None = None
    reason: Reason = ""
    reference: Reference = ""
    """The change's number or address in another system."""
    change_class: ClassName | None = None
    """Without it, that with which the plan was made."""
    idempotency_key: IdempotencyKey | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "StartRun":
        if (self.plan_digest is None) == (self.what is None):
            raise ValueError("give exactly one of plan_digest and what")
        return self

    def subject(self) -> str:
        return self.plan_digest or (self.what.subject() if self.what else "")


class Exec(Request):
    """Run one command on the hosts of a selector, as an execution like any other."""

    command: Annotated[list[Argument], Field(min_length=1, max_length=4096)]
    limit_to: Selector
    reason: Reason = ""
    reference: Reference = ""
    change_class: ClassName | None = None
    idempotency_key: IdempotencyKey | None = None

    def subject(self) -> str:
        return self.command[0]


class ListRuns(PageRequest):
    """Ask for executions, newest first; `since` for those created then or later."""

    blueprint: Name | None = None
    state: list[ExecutionStatus] = Field(default_factory=list)
    since: AwareDatetime | None = None


class ShowRun(Request):
    """Ask for one execution; `step` (with what is inside it), `host` and `state` choose which step runs it shows."""

    execution: ExecutionId
    step: StepPath = ""
    host: Annotated[str, StringConstraints(max_length=253)] = ""
    state: list[StepRunStatus] = Field(default_factory=list)

    def subject(self) -> str:
        return self.execution


class WatchRun(Request):
    """Ask for events above the sequence `after`, as they come, until the execution ends."""

    execution: ExecutionId
    after: Annotated[int, Field(ge=0)] = 0

    def subject(self) -> str:
        return self.execution


class ReplayRun(Request):
    """Ask how an execution stood after one event; 0 means the newest."""

    execution: ExecutionId
    at: Annotated[int, Field(ge=0)] = 0

    def subject(self) -> str:
        return self.execution


class Started(Answer):
    """An execution was started; `repeated` says that an earlier request with this key did it."""

    execution: str
    plan_digest: str
    repeated: bool


class Replayed(Answer):
    """How an execution stood, and the event that brought it there."""

    execution: ExecutionDetail
    event: EventAnswer | None


class WatchAnswer(Answer):
    """One thing seen while watching: an event, or how far running steps are."""

    event: EventAnswer | None = None
    progress: list[ProgressAnswer] = Field(default_factory=list)


@verb("run.start")
async def start_run(services: Services, caller: Caller, request: StartRun) -> Started:
    """Start an execution."""
    body: dict[str, JsonValue] = request.model_dump(mode="json", exclude={"idempotency_key"})
    return await _start(services, caller, "run.start", request, body)


async def start_by(
    services: Services,
    caller: Caller,
    request: StartRun,
    step: StepOf,
    about: Mapping[str, Json],
    operation: str = START,
    known: Mapping[str, str] | None = None,
) -> Started:
    """Start an execution with a step of the schedule that asks for it, in one transaction.

    `known`: the blueprints (`id@version` to digest) that the plan may be of; anything, if None. Raises the store's
    Conflict when the schedule has changed in between, else a ServiceError.
    """
    return await _start(services, caller, operation, request, {}, step, about, known)


@verb("exec")
async def exec_command(services: Services, caller: Caller, request: Exec) -> Started:
    """Run one command on the hosts of a selector."""
    what = WhatToRun(command=request.command, limit_to=request.limit_to, change_class=request.change_class)
    start = StartRun(
        what=what,
        reason=request.reason,
        reference=request.reference,
        change_class=request.change_class,
        idempotency_key=request.idempotency_key,
    )
    body: dict[str, JsonValue] = request.model_dump(mode="json", exclude={"idempotency_key"})
    return await _start(services, caller, "exec", start, body)


@verb("run.list")
async def list_runs(services: Services, caller: Caller, request: ListRuns) -> Page[ExecutionSummary]:
    """List executions, newest first."""
    since = microseconds(request.since) if request.since else 0
    chosen = ExecutionFilter(request.blueprint or "", tuple(each.value for each in request.state), since)

    async def seen(record: ExecutionRecord) -> bool:
        return await services.subjects.sees_run(caller, "run.read", record)

    rows, cursor = await shown(
        lambda cursor, limit: services.store.executions.find(chosen, cursor, limit),
        request,
        None if caller.unlimited("run.read") else seen,
    )
    return Page(items=[summary(each) for each in rows], next=cursor)


@verb("run.show")
async def show_run(services: Services, caller: Caller, request: ShowRun) -> ExecutionDetail:
    """Show one execution: every step on every host, open gates, errors and outputs."""
    record = await record_of(services, request.execution)
    chosen = ChosenRuns(request.step, request.host, frozenset(request.state))
    state = await services.runs.state(request.execution)
    found = await aside(len(state.runs), lambda: detail(record, state, record.sequence, chosen))
    return found.model_copy(update={"change": await change_of(services, request.execution)})


@verb("run.replay")
async def replay_run(services: Services, caller: Caller, request: ReplayRun) -> Replayed:
    """Show how an execution stood after any of its events."""
    record = await record_of(services, request.execution)
    at = request.at or record.sequence
    if at > record.sequence:
        raise Invalid(
            f"execution {request.execution} has {record.sequence} events, not {at}",
            fix=f"choose a sequence from 1 to {record.sequence}",
        )
    state = await services.runs.replay(request.execution, at)
    last = await services.store.executions.events(request.execution, at - 1, 1)
    shown = await aside(len(state.runs), lambda: detail(record, state, at))
    return Replayed(execution=shown, event=event(request.execution, last[0]) if last else None)


@stream("run.watch")
async def watch_run(services: Services, caller: Caller, request: WatchRun) -> AsyncIterator[WatchAnswer]:
    """Watch an execution: its events, then live, until it ends."""
    await record_of(services, request.execution)
    return _watched(services, request)


async def _watched(services: Services, request: WatchRun) -> AsyncIterator[WatchAnswer]:
    """Yield events as they come and, between them, progress whenever it is other than what was told last."""
    records = services.runs.watch(request.execution, request.after)
    pending = asyncio.ensure_future(anext(records, None))
    told: dict[RunKey, tuple[float | None, str]] = {}
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=PROGRESS_PAUSE)
            running = dict(services.runs.progress(request.execution))
            news = [progress(key, value) for key, value in sorted(running.items()) if told.get(key) != value]
            told = running
            if not done:
                if news:
                    yield WatchAnswer(progress=news)
                continue
            record = pending.result()
            if record is None:
                return
            pending = asyncio.ensure_future(anext(records, None))
            yield WatchAnswer(event=event(request.execution, record), progress=news)
    finally:
        pending.cancel()


async def _start(
    services: Services,
    caller: Caller,
    operation: str,
    request: StartRun,
    body: dict[str, JsonValue],
    step: StepOf | None = None,
    about: Mapping[str, Json] = MappingProxyType({}),
    known: Mapping[str, str] | None = None,
) -> Started:
    request_digest = _request_digest(services, caller, request.idempotency_key, body)
    earlier = await _earlier(services, caller, request.idempotency_key, request_digest)
    if earlier is not None:
        return earlier
    planned = await _planned(services, caller, operation, request)
    if known is not None and (others := strangers(planned.plan, known)):
        raise Conflict(f"{others[0]} was stored while this was planned", fix="look at it, and start it again")
    change_class = class_of(request.change_class) or planned.change_class
    asked = requested(caller, change_class, request.reference, request.reason)
    execution_id = services.new_id("exe")
    started = Started(execution=execution_id, plan_digest=planned.plan.digest, repeated=False)
    try:
        await services.runs.start(
            planned,
            execution_id=execution_id,
            requested_by=caller.principal,
            reason=request.reason,
            audit=allowed(
                services,
                caller,
                operation,
                execution_id,
                plan_digest=planned.plan.digest,
                blueprint=str(planned.plan.blueprint),
                reason=request.reason,
                **asked.change_detail(),
                **about,
            ),
            requested=asked,
            answer=_answer(services, caller, request.idempotency_key, request_digest, started),
            schedule=step(execution_id) if step is not None else None,
        )
    except store_errors.Conflict:
        # Two requests with one key at the same time: the other one was stored first. Or a schedule's step is late.
        earlier = await _earlier(services, caller, request.idempotency_key, request_digest)
        if earlier is None:
            raise
        return earlier
    return started


def _request_digest(services: Services, caller: Caller, key: str | None, body: dict[str, JsonValue]) -> str:
    """Return what tells whether a request is the same as an earlier one, and nothing else of what it holds."""
    if key is None:
        return ""
    content = canonical([caller.principal, key, body])
    return "hmac-sha256:" + hmac.digest(services.request_key, content, "sha256").hex()


async def _planned(services: Services, caller: Caller, operation: str, request: StartRun) -> Planned:
    if request.what is not None:
        wanted = Wanted(operation, START, request.what.subject())
        return await plans.plan(services, caller, request.what, wanted, previews=False)
    digest = request.plan_digest or ""
    if not caller.unlimited(START):
        # The execution will be the caller's own, whoever made the plan.
        require(caller, operation, START, await services.subjects.of_plan(digest, own=True), digest)
    return await services.plans.stored(digest)


async def _earlier(services: Services, caller: Caller, key: str | None, request_digest: str) -> Started | None:
    if key is None:
        return None
    found = await services.store.answers.get(caller.principal, key, services.clock.now())
    if found is None:
        return None
    if found.request_digest != request_digest:
        raise Conflict(
            f"idempotency key {key!r} was used for another request within the last day",
            fix="use a new key for a new request",
        )
    return Started.model_validate({**found.answer, "repeated": True})


def _answer(
    services: Services, caller: Caller, key: str | None, request_digest: str, started: Started
) -> AnswerRecord | None:
    if key is None:
        return None
    return AnswerRecord(
        key=key,
        principal=caller.principal,
        operation="run.start",
        request_digest=request_digest,
        answer=started.model_dump(mode="json"),
        expires_at=services.clock.now() + ANSWER_LIFE,
    )
