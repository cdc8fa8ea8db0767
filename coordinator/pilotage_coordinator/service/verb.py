"""What stands before every operation: its row in the matrix and the caller's permission; and around it, the audit.

`@verb("run.start")` turns an async function `(services, caller, request) -> answer` into a Verb, `@stream("run.watch")`
one that returns an async iterator into a Stream. Faces build routes and tools from their `operation`, `request` and
`answer`.

An audited operation hands `allowed(...)` to the write it makes, so that both are one transaction. What is denied or
refused is recorded here.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args, get_type_hints

from pydantic import BaseModel

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Denied, ServiceError, translated
from pilotage_coordinator.service.operations import OPERATIONS, Operation
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import SELF_ASKED, require
from pilotage_coordinator.service.wire import Request
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.records import AuditEntry
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.service")

R = TypeVar("R", bound=Request)
A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Verb(Generic[R, A]):
    """An operation with one answer. Raises ServiceError; `Denied` before anything else has been looked at."""

    operation: str
    request: type[R]
    answer: type[A]
    summary: str
    function: Callable[[Services, Caller, R], Awaitable[A]]

    async def __call__(self, services: Services, caller: Caller, request: R) -> A:
        """Check, do, and record what was refused."""
        return await guarded(self.operation, services, caller, request, self.function)


@dataclass(frozen=True, slots=True)
class Stream(Generic[R, A]):
    """An operation that answers until its subject ends; always a read."""

    operation: str
    request: type[R]
    answer: type[A]
    summary: str
    function: Callable[[Services, Caller, R], Awaitable[AsyncIterator[A]]]

    async def __call__(self, services: Services, caller: Caller, request: R) -> AsyncIterator[A]:
        """Check, and return the answers as they come. What is refused is refused here, before the first answer."""
        row = await admit(self.operation, services, caller, request)
        async with _recorded(row, services, caller, request):
            await within_limits(row, services, caller, request)
            answers = await self.function(services, caller, request)
        return _translated(answers)

    async def still(self, services: Services, caller: Caller, request: R) -> None:
        """Raise Denied when the caller may not hear more of it: roles and limits can change while a stream goes on."""
        row = await admit(self.operation, services, caller, request)
        async with _recorded(row, services, caller, request):
            await within_limits(row, services, caller, request)


async def _translated(answers: AsyncIterator[A]) -> AsyncIterator[A]:
    with translated():
        async for answer in answers:
            yield answer


def verb(operation: str) -> Callable[[Callable[[Services, Caller, R], Awaitable[A]]], Verb[R, A]]:
    """Make an operation's function its verb; the first line of its docstring becomes the summary."""

    def wrap(function: Callable[[Services, Caller, R], Awaitable[A]]) -> Verb[R, A]:
        hints = get_type_hints(function)
        return Verb(operation, hints["request"], hints["return"], _summary(function), function)

    return wrap


def stream(
    operation: str,
) -> Callable[[Callable[[Services, Caller, R], Awaitable[AsyncIterator[A]]]], Stream[R, A]]:
    """Make an operation's function, which checks and then returns an iterator, its stream."""

    def wrap(function: Callable[[Services, Caller, R], Awaitable[AsyncIterator[A]]]) -> Stream[R, A]:
        hints = get_type_hints(function)
        (answer,) = get_args(hints["return"])
        return Stream(operation, hints["request"], answer, _summary(function), function)

    return wrap


async def guarded(
    operation: str,
    services: Services,
    caller: Caller,
    request: R,
    function: Callable[[Services, Caller, R], Awaitable[A]],
) -> A:
    """Do what an operation does, as each face's request has it done: check, do, and record what was refused."""
    row = await admit(operation, services, caller, request)
    async with _recorded(row, services, caller, request):
        await within_limits(row, services, caller, request)
        return await function(services, caller, request)


@asynccontextmanager
async def _recorded(row: Operation, services: Services, caller: Caller, request: Request) -> AsyncGenerator[None]:
    """Turn what the rooms below raise into this room's errors, and record what was denied, or refused to a write."""
    try:
        with translated():
            yield
    except Denied as error:
        detail: dict[str, Json] = {"permission": row.permission, "error": error.detail[:1000]}
        await _record(services, entry(services, caller, row.name, request.subject(), "denied", detail))
        raise
    except ServiceError as error:
        if row.audited:
            refusal: dict[str, Json] = {"error": error.detail[:1000]}
            await _record(services, entry(services, caller, row.name, request.subject(), "refused", refusal))
        raise


async def within_limits(row: Operation, services: Services, caller: Caller, request: Request) -> None:
    """Raise Denied when what a request is about lies outside of the limits within which the caller may do it.

    Of lists, and of what an operation must find out first, the operation itself asks.
    """
    if row.about in SELF_ASKED or caller.unlimited(row.permission):
        return
    subject = await services.subjects.of_request(row, caller, request)
    require(caller, row.name, row.permission, subject, request.subject())


async def admit(operation: str, services: Services, caller: Caller, request: Request) -> Operation:
    """Return the operation's row; raise Denied, and record it, when it has none or the caller lacks the permission."""
    row = OPERATIONS.get(operation)
    if row is not None and caller.might(row.permission):
        return row
    need = row.permission if row is not None else ""
    await _record(services, entry(services, caller, operation, request.subject(), "denied", {"permission": need}))
    if row is None:
        raise Denied(f"operation `{operation}` has no row in the authorization matrix, so nobody may do it")
    raise Denied(
        f"{caller.principal} may not do `{operation}`",
        fix=f"ask an owner of this coordinator for the permission `{need}`",
    )


async def _record(services: Services, entry: AuditEntry) -> None:
    """Record what was not done; where nothing can be stored, in the log: the caller hears the same."""
    try:
        await services.store.audit.append(entry)
    except StoreError as error:
        log.error(
            "audit.not_stored",
            principal=entry.principal,
            operation=entry.operation,
            subject=entry.subject,
            outcome=entry.outcome,
            error=str(error),
        )


def entry(
    services: Services, caller: Caller, operation: str, subject: str, outcome: str, detail: Mapping[str, Json]
) -> AuditEntry:
    """Return the audit entry for what the caller does or tried."""
    return AuditEntry(
        at=services.clock.now(),
        principal=caller.principal,
        operation=operation,
        subject=subject,
        outcome=outcome,
        detail={"principal_kind": caller.kind.value, **_through(caller), **detail},
    )


def _through(caller: Caller) -> dict[str, Json]:
    found: dict[str, Json] = {"through": caller.face.value}
    return {**found, "token": caller.token} if caller.token else found


def allowed(services: Services, caller: Caller, operation: str, subject: str, **detail: Json) -> tuple[AuditEntry, ...]:
    """Return the entry that goes into the operation's own transaction."""
    return (entry(services, caller, operation, subject, "allowed", detail),)


def _summary(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]
