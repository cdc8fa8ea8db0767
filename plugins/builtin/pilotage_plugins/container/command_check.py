"""A program in a container as its health check: never two of them at once, as the engine can stop none."""

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


class CommandCheck:
    """Runs the program again and again. One that takes too long is waited for, and no other is started beside it: else
    a check that hangs would fill the container with processes."""

    def __init__(self, engine: "Engine", container: str, argv: Sequence[str]) -> None:
        self._engine = engine
        self._container = container
        self._argv = argv
        self._asked: asyncio.Task[str | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turn away from one that is still at work; it goes on in the container until it ends."""
        if self._asked is not None:
            self._asked.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._asked

    async def problem(self, seconds: float) -> str | None:
        """Return what is wrong, None when nothing is; after so many seconds, that there is no answer yet."""
        late = self._asked is not None
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._ask())
        await asyncio.wait({self._asked}, timeout=seconds)
        if not self._asked.done():
            return f"the command check {self._argv[0]} took longer than {seconds:g} seconds, and is still at work"
        asked, self._asked = self._asked, None
        problem = asked.result()
        return f"the command check {self._argv[0]} took longer than {seconds:g} seconds" if late else problem

    async def _ask(self) -> str | None:
        ended = await self._engine.exec(self._container, self._argv, lambda stream, data: None)
        if ended.exit_code == 0:
            return None
        said = (ended.stderr or ended.stdout).decode("utf-8", "backslashreplace").strip()[-300:]
        return f"{self._argv[0]} ended with {ended.exit_code}: {said}"
