"""Streams as server-sent events (WHATWG HTML, 9.2): one JSON answer an event, and a comment while nothing happens.

An event's id is where to go on: `Last-Event-ID` of a reconnecting client becomes the request's `after`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from pydantic import BaseModel

from pilotage_coordinator.service.errors import ServiceError

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment shows that the stream lives."""


async def events(answers: AsyncIterator[Any], heartbeat: float = HEARTBEAT) -> AsyncGenerator[bytes, None]:
    """Yield each answer as an event, then `event: end`; a failure midway as `event: error`."""
    pending: asyncio.Future[Any] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(answers))
            done, _ = await asyncio.wait({pending}, timeout=heartbeat)
            if not done:
                yield b": alive\n\n"
                continue
            answer, pending = pending.result(), None
            if answer is None:
                yield _END
                return
            yield _event(answer)
    except ServiceError as error:
        yield b"event: error\ndata: " + _line(error.detail) + b"\n\n"
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.wait({pending})
        if isinstance(answers, AsyncGenerator):
            await answers.aclose()


_END: Final = b"event: end\ndata: {}\n\n"


async def _next(answers: AsyncIterator[Any]) -> Any:
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
