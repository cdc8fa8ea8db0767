"""The port to the logs of attempts, which are files beside the database."""

from dataclasses import dataclass
from typing import Protocol

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.fleet import LogPiece


@dataclass(frozen=True, slots=True)
class LogSlice:
    """A part of one attempt's log.

    Offsets are the agent's: bytes of the log as it was written, those that were dropped included.
    """

    data: bytes
    offset: int
    """Of the first byte of `data`."""
    dropped: int
    """Bytes missing just before `offset`, of those that were asked for."""
    next: int
    """Where to read on."""
    end: int
    """Where the kept log ends now."""
    complete: bool
    """The log is whole: nothing will be added after `end`."""


class LogStore(Protocol):
    """Logs of attempts: NDJSON, bounded.

    Kept through a crash of the process; not fsynced, so a power cut may cost the tail.
    """

    async def append(self, piece: LogPiece) -> int:
        """Keep a piece; returns the offset before which everything is kept (the acknowledgement).

        What is kept already is skipped, so a piece may be sent again. A piece that begins beyond the end and does not
        say that the bytes between were dropped is not kept: the answer says where to go on. Past the bound of one log,
        or of all logs of one host and execution, the data is dropped and counted, and acknowledged all the same. Pieces
        of one attempt are awaited in order. Raises StoreUnavailable when the disk refuses: send it again later.
        """
        ...

    async def read(self, key: AttemptKey, offset: int = 0, limit: int = 65536) -> LogSlice:
        """Return up to `limit` bytes (1 to 1 MiB) from `offset`, whole lines where the limit allows; never waits.

        A negative offset counts from the end. An attempt without a log gives an empty slice.
        """
        ...

    async def remove(self, execution: str) -> None:
        """Remove all logs of an execution; none is no error."""
        ...

    async def secure(self) -> None:
        """See that nobody but the owner can read what was kept earlier; once, after the start."""
        ...

    async def close(self) -> None:
        """Finish what was begun. Later calls raise StoreUnavailable."""
        ...
