"""Sending attempts' logs within a window: resumed by offset, one attempt after the other, never in the way of results.

Every log that is not wholly acknowledged is here. What was sent and not acknowledged is sent again in the next
session, from the offset that the coordinator last acknowledged; after a restart of the agent that is not known, so
the log starts over and the first acknowledgement moves it on.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.messages import LogAck, LogChunk, Progress
from pilotage_agent.running import LogSource

CHUNK: Final = 64 * 1024
"""Bytes of log in one chunk, about; a single long line may be more."""

LONGEST_LINE: Final = 256 * 1024


@dataclass(slots=True)
class _Feed:
    source: LogSource
    acknowledged: int = 0
    sent: int = 0
    finished: bool = False
    newest: tuple[float | None, str] | None = None


class LogFeed:
    """The logs that are still to be sent. `done` is called with the key of each that is wholly acknowledged."""

    def __init__(self, done: Callable[[AttemptKey], None]) -> None:
        self._feeds: dict[AttemptKey, _Feed] = {}
        self._turns: deque[AttemptKey] = deque()
        self._done = done
        self._window = 0

    def __len__(self) -> int:
        return len(self._feeds)

    def add(self, source: LogSource) -> None:
        """Send this log from now on."""
        if source.key not in self._feeds:
            self._feeds[source.key] = _Feed(source)
            self._turns.append(source.key)

    def begin_session(self, window: int) -> None:
        """Start over from what is acknowledged, with a window of so many bytes."""
        self._window = window
        for feed in self._feeds.values():
            feed.sent = feed.acknowledged
            feed.finished = False

    def acknowledge(self, message: LogAck) -> None:
        """Take an acknowledgement; a log that is acknowledged to its end is done with."""
        feed = self._feeds.get(message.key)
        if feed is None:
            return
        feed.acknowledged = max(feed.acknowledged, message.offset)
        if message.offset > feed.sent:
            feed.sent = message.offset
        if feed.finished and feed.acknowledged >= feed.sent:
            self._remove(message.key)

    async def next_chunk(self) -> LogChunk | None:
        """Return the next piece that fits the window, taking turns; None when there is none now."""
        for _ in range(len(self._turns)):
            key = self._turns[0]
            self._turns.rotate(-1)
            feed = self._feeds[key]
            if feed.finished or not self._has_news(feed):
                continue
            room = self._window - sum(one.sent - one.acknowledged for one in self._feeds.values())
            if room <= 0:
                return None
            chunk = await self._read(feed, min(CHUNK, room))
            if chunk is not None:
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

    def _has_news(self, feed: _Feed) -> bool:
        return feed.source.ended or feed.source.size() > feed.sent

    async def _read(self, feed: _Feed, limit: int) -> LogChunk | None:
        data, dropped, last = await feed.source.read(feed.sent, limit)
        if not data and not last:
            data, dropped, last = await feed.source.read(feed.sent, LONGEST_LINE)
        if not data and not last:
            return None
        offset = feed.sent
        feed.sent += len(data)
        feed.finished = last
        if last and feed.sent == 0:
            self._remove(feed.source.key)
            return None
        return LogChunk(feed.source.key, offset, data, dropped, last)

    def _remove(self, key: AttemptKey) -> None:
        del self._feeds[key]
        self._turns.remove(key)
        self._done(key)
