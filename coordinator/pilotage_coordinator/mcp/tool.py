"""A tool: a name and schemas over operations of the service. What it may call is declared, and checked at each call."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, get_type_hints

from pydantic import BaseModel

from pilotage_coordinator.mcp.toolset import Toolset, View
from pilotage_coordinator.mcp.untrusted import Fence
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.operations import OPERATIONS, OperationEffect
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import Stream, Verb
from pilotage_coordinator.service.wire import Request

R = TypeVar("R", bound=Request)
A = TypeVar("A", bound=BaseModel)
T = TypeVar("T", bound=BaseModel)

Report = Callable[[float, float | None, str], Awaitable[None]]
"""Tells the client how far a call is, of how much (None: unknown), in words; nothing where it did not ask."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: who calls, and the only way from a tool to what the coordinator can do."""

    services: Services
    caller: Caller
    again: Callable[[], Awaitable[Caller]]
    """Finds the caller anew, for calls that wait; raises ServiceError once the token is over."""
    report: Report
    allowed: frozenset[str]
    """The operations that the tool declared."""
    fence: Fence

    async def ask(self, verb: Verb[R, A], request: R, caller: Caller | None = None) -> A:
        """Do an operation as the caller; it checks, refuses and records as it does for every face."""
        self._declared(verb.operation)
        return await verb(self.services, caller or self.caller, request)

    async def follow(self, stream: Stream[R, A], request: R) -> AsyncGenerator[A, None]:
        """Begin a stream as the caller. Whoever leaves before its end closes it."""
        self._declared(stream.operation)
        return closable(await stream(self.services, self.caller, request))

    def may(self, operation: str) -> bool:
        """Return whether the caller may do it at all."""
        self._declared(operation)
        return self.caller.might(OPERATIONS[operation].permission)

    def _declared(self, operation: str) -> None:
        if operation not in self.allowed:
            raise AssertionError(f"a tool called `{operation}`, which it has not declared")


async def closable(answers: AsyncIterator[A]) -> AsyncGenerator[A, None]:
    """Yield what comes; closing this ends it."""
    async for answer in answers:
        yield answer


Function = Callable[[Call, Any], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. Its request refuses what it does not know; its answer is what clients see as structured content."""

    name: str
    title: str
    toolset: Toolset
    operations: tuple[str, ...]
    """All that it needs; a caller who may not do one of them is not offered the tool."""
    request: type[Request]
    answer: type[BaseModel]
    description: str
    function: Function = field(repr=False)
    also: tuple[str, ...] = ()
    """What it does besides for those who may."""
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False
    """Whether what it reaches is more than this coordinator: what hosts do."""

    @property
    def read_only(self) -> bool:
        """Return whether nothing that it calls can change anything."""
        return all(OPERATIONS[each].effect is OperationEffect.READ for each in (*self.operations, *self.also))


def offered(tool: Tool, caller: Caller, view: View) -> bool:
    """Return whether a tool is there for a caller: the one predicate, for lists and for calls.

    Whoever is offered a tool may still be refused, as grants have limits: the operation itself says so.
    """
    if tool.toolset not in view.toolsets or (view.read_only and not tool.read_only):
        return False
    return all(caller.might(OPERATIONS[each].permission) for each in tool.operations)


def tool(
    name: str,
    title: str,
    toolset: Toolset,
    *operations: str,
    also: tuple[str, ...] = (),
    destructive: bool = False,
    idempotent: bool = False,
    open_world: bool = False,
) -> Callable[[Callable[[Call, R], Awaitable[T]]], Tool]:
    """Make a function `(call, request) -> answer` a tool; its docstring is what a model reads about it."""

    def wrap(function: Callable[[Call, R], Awaitable[T]]) -> Tool:
        hints = get_type_hints(function)
        return Tool(
            name,
            title,
            toolset,
            operations,
            hints["request"],
            hints["return"],
            _text(function),
            function,
            also,
            destructive,
            idempotent,
            open_world,
        )

    return wrap


def _text(function: Callable[..., object]) -> str:
    parts = (function.__doc__ or "").strip().split("\n\n")
    return "\n".join(" ".join(part.split()) for part in parts)


LARGEST_PAGE: Final = 200
"""Rows of one answer, whatever the service would give."""
