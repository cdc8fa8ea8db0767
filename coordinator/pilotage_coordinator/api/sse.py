"""Streams as server-sent events (WHATWG HTML, 9.2): one JSON answer an event, and a comment while nothing happens.

An event's id is where to go on: `Last-Event-ID` of a reconnecting client becomes the request's `after`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final

from pydantic import BaseModel

from pilotage_coordinator.service.errors import ServiceError

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment shows that the stream lives."""
RECHECK = 5.0
"""Seconds after which it is asked again whether whoever listens still may: tokens end, roles change."""


async def events(
    answers: AsyncIterator[BaseModel],
    closing: asyncio.Event,
    heartbeat: float = HEARTBEAT,
    still: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yield each answer as an event, then `event: end`; a failure midway as `event: error`.

    `still` is asked now and then, and raises ServiceError when the listener may hear no more of it.

    When `closing` is set the stream just stops, without an end: the client comes back when somebody serves again.
    """
    loop = asyncio.get_running_loop()
    closed = asyncio.ensure_future(closing.wait())
    pending = _ask(answers)
    checked = spoken = loop.time()
    try:
        while True:
            patience = heartbeat if still is None else min(heartbeat, RECHECK)
            done, _ = await asyncio.wait({pending, closed}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if still is not None and loop.time() - checked >= RECHECK:
                await still()
                checked = loop.time()
            if pending in done:
                answer = pending.result()
                if answer is None:
                    yield _END
                    return
                # Asked before the yield: whenever this generator is closed, cancelling `pending` ends `answers` too.
                pending = _ask(answers)
                yield _event(answer)
                spoken = loop.time()
            elif closed in done:
                return
            elif loop.time() - spoken >= heartbeat:
                yield b": alive\n\n"
                spoken = loop.time()
    except ServiceError as error:
        yield b"event: error\ndata: " + _line(error.detail) + b"\n\n"
    finally:
        closed.cancel()
        pending.cancel()


_END: Final = b"event: end\ndata: {}\n\n"


def _ask(answers: AsyncIterator[BaseModel]) -> "asyncio.Task[BaseModel | None]":
    task = asyncio.create_task(_next(answers))
    # Whoever left will not read its error: mark it as seen.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _next(answers: AsyncIterator[BaseModel]) -> BaseModel | None:
    return await anext(answers, None)


def _event(answer: BaseModel) -> bytes:
    body = b"data: " + answer.model_dump_json().encode() + b"\n\n"
    place = _place(answer)
    return b"id: " + place.encode() + b"\n" + body if place else body


def _place(answer: Any) -> str:
    """Return where to go on after an answer: a log line's cursor, an event's sequence."""
    cursor = getattr(answer, "cursor", "")
    event = getattr(answer, "event", None)
    return str(cursor or (event.sequence if event is not None else ""))


def _line(text: str) -> bytes:
    return " ".join(text.split()).encode()
