"""One attempt's log on disk, as the link reads it."""

import asyncio
from pathlib import Path

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.runner.attempt_folder import read_progress
from pilotage_agent.runner.step_log import log_size, read_piece
from pilotage_agent.running import LogPiece


class LocalLog:
    """Implements the LogSource port over an attempt's folder."""

    def __init__(self, key: AttemptKey, folder: Path) -> None:
        self._key = key
        self._folder = folder
        self._ended = False
        self.acknowledged = False
        """Whether the attempt's result is acknowledged."""
        self.is_sent = False
        """Whether the coordinator has the whole log."""

    @property
    def key(self) -> AttemptKey:
        return self._key

    @property
    def ended(self) -> bool:
        return self._ended

    def end(self) -> None:
        """Nothing more will be written."""
        self._ended = True

    def size(self) -> int:
        return log_size(self._folder)

    async def read(self, offset: int, limit: int) -> LogPiece:
        ended = self._ended
        return await asyncio.to_thread(read_piece, self._folder, offset, limit, ended=ended)

    def progress(self) -> tuple[float | None, str] | None:
        return read_progress(self._folder)
