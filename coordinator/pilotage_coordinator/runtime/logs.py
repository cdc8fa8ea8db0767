"""The logs of an execution's steps, as lines."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from pilotage_proto.attempt import AttemptKey, parse_attempt_key

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.store.protocol import ExecutionStore, LogStore
from pilotage_coordinator.store.records import StepRunFilter

BYTES_AT_ONCE = 256 * 1024
LOOK_AGAIN = 0.25
"""Seconds between two looks of a reader that follows."""


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
        for key in await self._attempts(execution, path, host):
            if last is not None and _order(key) < _order(last):
                continue
            start = offset if key == last else 0
            async for line in self._lines(key, start):
                found.append(line)
                if len(found) >= limit:
                    return found
        return found

    async def follow(self, execution: str, path: str, host: str, after: str) -> AsyncIterator[LogLine]:
        """Yield what is there, then what comes, until the execution is over. Attempts are mixed as they come."""
        offsets: dict[AttemptKey, int] = {}
        last, offset = _read_cursor(after)
        if last is not None:
            offsets[last] = offset
        while True:
            over = (await self.executor.state(execution)).terminal
            for key in await self._attempts(execution, path, host):
                if last is not None and _order(key) < _order(last):
                    continue
                async for line in self._lines(key, offsets.get(key, 0)):
                    offsets[key] = _read_cursor(line.cursor)[1]
                    yield line
            if over:
                return
            await asyncio.sleep(LOOK_AGAIN)

    async def _attempts(self, execution: str, path: str, host: str) -> list[AttemptKey]:
        keys: list[AttemptKey] = []
        cursor = ""
        while True:
            page = await self.executions.step_runs(execution, StepRunFilter(host=host or None), cursor)
            for run in page.rows:
                if run.attempts and _inside(run.path, path):
                    attempts = await self.executions.attempts(execution, run.path, run.host, run.item)
                    keys += [attempt.key for attempt in attempts]
            cursor = page.cursor
            if not cursor:
                return sorted(keys, key=_order)

    async def _lines(self, key: AttemptKey, offset: int) -> AsyncIterator[LogLine]:
        while True:
            piece = await self.store.read(key, offset, BYTES_AT_ONCE)
            for line in _parse(key, piece.data, piece.offset):
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
        yield LogLine(
            f"{key}@{offset}", at, key.path, key.host, key.item, key.kind, key.attempt, stream, text
        )  # fmt: skip


def _inside(path: str, wanted: str) -> bool:
    return not wanted or path == wanted or path.startswith(wanted + "/") or path.rpartition("/")[2] == wanted


def _order(key: AttemptKey) -> tuple[str, str, str, str, int]:
    return key.path, key.host, key.item, key.kind, key.attempt


def _read_cursor(cursor: str) -> tuple[AttemptKey | None, int]:
    if not cursor:
        return None, 0
    text, _, offset = cursor.rpartition("@")
    try:
        return parse_attempt_key(text), int(offset)
    except ValueError as error:
        raise BadLogCursor(f"{cursor!r} is no cursor of a log line; begin again without one") from error
