"""An application that is imported and begun by its first request: people who never ask for it pay nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send


class Begun(Protocol):
    """An application that has begun."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def stop(self) -> None:
        """End what is being served."""
        ...


class Late:
    """Stands for an application until somebody asks for it."""

    def __init__(self, begin: Callable[[], Awaitable[Begun]]) -> None:
        """Take what imports, makes and starts the application."""
        self._begin = begin
        self._begun: Begun | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, the first one after the application has begun."""
        async with self._lock:
            if self._begun is None:
                self._begun = await self._begin()
        await self._begun(scope, receive, send)

    async def stop(self) -> None:
        """Stop the application, if it was begun."""
        async with self._lock:
            if self._begun is not None:
                await self._begun.stop()
