"""The logs of an execution's steps, as lines."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from pilotage_proto.attempt import AttemptKey, parse_attempt_key

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.engine.due import attempt_key
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.store.protocol import ExecutionStore, LogStore

BYTES_AT_ONCE = 256 * 1024
NOTE = "log"
"""The stream of what the coordinator itself says of a log."""
LOOK_AGAIN = 0.25
"""Seconds between two looks of a reader that follows."""
PATIENCE = 20
"""Looks that a reader still takes at an attempt that has ended, before its agent has sent the end of its log."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a step's log. `at` is UTC microseconds on the host's clock."""

    cursor: str
    at: int
    path: str
    host: str
    item: str
    kind: str
    attempt: int
    stream: str
    text: str


class BadLogCursor(DomainError):
    """The cursor did not come from a log line."""


@dataclass(slots=True)
class Logs:
    """Reads lines over all attempts of an execution."""

    executions: ExecutionStore
    store: LogStore
    executor: Executor

    async def read(self, execution: str, path: str, host: str, after: str, limit: int) -> Sequence[LogLine]:
        """Return lines by path, host, item and attempt, in order; `after` is a line's cursor."""
        last, offset = _read_cursor(after)
        found: list[LogLine] = []
        async for key in self._attempts(execution, path, host, last):
            async for line in self._lines(key, offset if key == last else 0):
                found.append(line)
                if len(found) >= limit:
                    return found
        return found

    async def follow(self, execution: str, path: str, host: str, after: str) -> AsyncIterator[LogLine]:
        """Yield what is there, then what comes, until the execution is over. Attempts are mixed as they come.

        Each look costs what is open, not what the execution was.
        """
        last, offset = _read_cursor(after)
        state = await self.executor.state(execution)
        offsets = {attempt_key(state, attempt): 0 for attempt in state.open.values()}
        async for key in self._attempts(execution, path, host, last):
            start = offset if key == last else 0
            async for line in self._lines(key, start):
                start = _read_cursor(line.cursor)[1]
                yield line
            if key in offsets:
                offsets[key] = start
        patience = dict.fromkeys(offsets, PATIENCE)
        while offsets or not state.terminal:
            state = await self.executor.state(execution)
            still_open = {attempt_key(state, attempt) for attempt in state.open.values()}
            for key in still_open - offsets.keys():
                offsets[key], patience[key] = 0, PATIENCE
            for key in sorted(offsets, key=_order):
                # Asked before the lines are read: what is complete now is read to its end below.
                complete = (await self.store.read(key, -1, 1)).complete
                if _wanted(key, path, host):
                    async for line in self._lines(key, offsets[key]):
                        offsets[key] = _read_cursor(line.cursor)[1]
                        yield line
                if key not in still_open:
                    patience[key] -= 1
                    if complete or not patience[key]:
                        del offsets[key], patience[key]
            await asyncio.sleep(LOOK_AGAIN)

    async def _attempts(
        self, execution: str, path: str, host: str, since: AttemptKey | None
    ) -> AsyncIterator[AttemptKey]:
        """Yield the attempts of the wanted steps, in order, from `since` on: a page of one step at a time."""
        state = await self.executor.state(execution)
        for each in sorted(state.index.steps):
            if not _inside(each, path) or (since is not None and each < since.path):
                continue
            after = None
            if since is not None and since.path == each and host in ("", since.host):
                after = since._replace(attempt=since.attempt - 1)
            elif since is not None and since.path == each and host < since.host:
                continue
            while keys := await self.executions.attempt_keys(execution, each, host, after):
                for key in keys:
                    yield key
                after = keys[-1]

    async def _lines(self, key: AttemptKey, offset: int) -> AsyncIterator[LogLine]:
        at = 0
        while True:
            piece = await self.store.read(key, offset, BYTES_AT_ONCE)
            if piece.dropped:
                text = f"[{piece.dropped} bytes left out: the step wrote more than is kept of a log]"
                yield _line(key, piece.offset, at, NOTE, text)
            for line in _parse(key, piece.data, piece.offset):
                at = line.at
                yield line
            if not piece.data or piece.next >= piece.end:
                return
            offset = piece.next


def _parse(key: AttemptKey, data: bytes, offset: int) -> Iterator[LogLine]:
    for raw in data.splitlines(keepends=True):
        offset += len(raw)
        if not raw.endswith(b"\n"):
            return
        try:
            record = json.loads(raw)
            at, stream, text = int(record["t"]), str(record["s"]), str(record["m"])
        except (ValueError, KeyError, TypeError):
            # An agent is not trusted to write well: what cannot be read is shown as it came.
            at, stream, text = 0, "log", raw.decode(errors="replace").rstrip("\n")
        yield _line(key, offset, at, stream, text)


def _line(key: AttemptKey, offset: int, at: int, stream: str, text: str) -> LogLine:
    return LogLine(f"{key}@{offset}", at, key.path, key.host, key.item, key.kind, key.attempt, stream, text)


def _inside(path: str, wanted: str) -> bool:
    return not wanted or path == wanted or path.startswith(wanted + "/") or path.rpartition("/")[2] == wanted


def _wanted(key: AttemptKey, path: str, host: str) -> bool:
    return _inside(key.path, path) and (not host or key.host == host)


def _order(key: AttemptKey) -> tuple[str, str, str, str, int]:
    return key.path, key.host, key.item, key.kind, key.attempt


def _read_cursor(cursor: str) -> tuple[AttemptKey | None, int]:
    if not cursor:
        return None, 0
    text, _, offset = cursor.rpartition("@")
    try:
        key, place = parse_attempt_key(text), int(offset)
        if max(key.attempt, place) >= 2**63:
            raise ValueError("beyond any number of an attempt or a byte")
    except ValueError as error:
        raise BadLogCursor(f"{cursor!r} is no cursor of a log line; begin again without one") from error
    return key, place
