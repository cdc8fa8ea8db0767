"""Sending attempts' logs within a window: resumed by offset, one attempt after the other, never in the way of results.

Every log that is not wholly acknowledged is here. What was sent and not acknowledged is sent again in the next
session, from the offset that the coordinator last acknowledged; after a restart of the agent that is not known, so
the log starts over and the first acknowledgement moves it on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.messages import LogAck, LogChunk, Progress
from pilotage_agent.running import LogPiece, LogSource

CHUNK: Final = 64 * 1024
"""Bytes of log in one chunk, about; a single long line may be more."""

LONGEST_LINE: Final = 256 * 1024


@dataclass(slots=True)
class _Feed:
    source: LogSource
    acknowledged: int = 0
    sent: int = 0
    finished: bool = False
    rewound: bool = False
    newest: tuple[float | None, str] | None = None


class LogFeed:
    """The logs that are still to be sent. `done` is called with the key of each that is wholly acknowledged.

    Implements the LogSink port. Only logs that were found to have news are taken up, so a session's work does not
    grow with the number of silent attempts.
    """

    def __init__(self, done: Callable[[AttemptKey], None]) -> None:
        self._feeds: dict[AttemptKey, _Feed] = {}
        self._turns: dict[AttemptKey, None] = {}
        self._done = done
        self._window = 0
        self._unacknowledged = 0

    def __len__(self) -> int:
        return len(self._feeds)

    def add(self, source: LogSource) -> None:
        """Send this log from now on."""
        self._feeds.setdefault(source.key, _Feed(source))
        self.nudge(source.key)

    def nudge(self, key: AttemptKey) -> None:
        """Look at this log now; one that ended without a line is done with at once."""
        feed = self._feeds.get(key)
        if feed is None or feed.finished:
            return
        if feed.source.ended and feed.source.size() == 0:
            self._remove(key)
        elif feed.source.ended or feed.source.size() > feed.sent:
            self._turns[key] = None

    def look(self) -> bool:
        """Look at every log; says whether there is something to send."""
        for key in tuple(self._feeds):
            self.nudge(key)
        return bool(self._turns)

    def begin_session(self, window: int) -> None:
        """Start over from what is acknowledged, with a window of so many bytes."""
        self._window = window
        self._unacknowledged = 0
        for feed in self._feeds.values():
            feed.sent = feed.acknowledged
            feed.finished = feed.rewound = False
        self.look()

    def acknowledge(self, message: LogAck) -> None:
        """Take an acknowledgement; a log that is acknowledged to its end is done with.

        One that is ahead of what was sent moves the log on: the coordinator has that part from an earlier session.
        One that goes back says that the coordinator lost a part: it is sent again, once in a session.
        """
        feed = self._feeds.get(message.key)
        if feed is None:
            return
        before = feed.sent - feed.acknowledged
        if message.offset < feed.acknowledged:
            if feed.rewound:
                return
            feed.rewound, feed.finished, feed.sent = True, False, message.offset
        feed.acknowledged = message.offset
        feed.sent = max(feed.sent, message.offset)
        self._unacknowledged += feed.sent - feed.acknowledged - before
        if feed.finished and feed.acknowledged >= feed.sent:
            self._remove(message.key)
        else:
            self.nudge(message.key)

    async def next_chunk(self) -> LogChunk | None:
        """Return the next piece that fits the window, taking turns; None when there is none now."""
        while self._turns:
            room = self._window - self._unacknowledged
            if room <= 0:
                return None
            key = next(iter(self._turns))
            del self._turns[key]
            feed = self._feeds.get(key)
            if feed is None or feed.finished:
                continue
            chunk = await self._read(feed, min(CHUNK, room))
            if chunk is not None and key in self._feeds:
                self.nudge(key)
                return chunk
        return None

    def progress(self) -> list[Progress]:
        """Return the progress that changed since it was last asked for."""
        found = []
        for key, feed in self._feeds.items():
            if feed.source.ended:
                continue
            newest = feed.source.progress()
            if newest is not None and newest != feed.newest:
                feed.newest = newest
                fraction, text = newest
                found.append(Progress(key, -1.0 if fraction is None else fraction, text))
        return found

    async def _read(self, feed: _Feed, limit: int) -> LogChunk | None:
        offset = feed.sent
        piece = await feed.source.read(offset, limit)
        if not piece.data and not piece.last and self._unacknowledged == 0:
            # The window is smaller than the next line: that line alone may pass it.
            piece = _first_line(await feed.source.read(offset, LONGEST_LINE))
        if feed.sent != offset:
            self.nudge(feed.source.key)
            return None
        if not piece.data and not piece.last:
            return None
        end = piece.offset + len(piece.data)
        self._unacknowledged += end - feed.sent
        feed.sent = end
        feed.finished = piece.last
        return LogChunk(feed.source.key, piece.offset, piece.data, piece.dropped, piece.last)

    def _remove(self, key: AttemptKey) -> None:
        feed = self._feeds.pop(key)
        self._unacknowledged -= feed.sent - feed.acknowledged
        self._turns.pop(key, None)
        self._done(key)


def _first_line(piece: LogPiece) -> LogPiece:
    end = piece.data.find(b"\n") + 1
    return replace(piece, data=piece.data[:end], last=piece.last and end == len(piece.data))
