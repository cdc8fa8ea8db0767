"""What Ansible tells of a run, line by line, and what it comes to."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_plugin_api import StepOutputs
from pydantic import BaseModel, ConfigDict, ValidationError

CHUNK: Final = 64 * 1024
LONGEST_LINE: Final = 256 * 1024
MOST_KEPT: Final = 1000
"""Results of one kind that are kept for people; all are counted."""


class HostResult(StepOutputs):
    """What came of the tasks on one host, as Ansible counts them."""

    ok: int
    changed: int
    failed: int
    unreachable: int
    skipped: int
    rescued: int
    ignored: int


class TaskResult(BaseModel):
    """One task on one host. `message` and `diff` are what its module said, empty where it has `no_log`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    task: str
    action: str
    status: str
    ignored: bool = False
    message: str = ""
    diff: str = ""


@dataclass(slots=True)
class Course:
    """How a run went so far."""

    tasks: int = 0
    hosts: dict[str, HostResult] = field(default_factory=dict)
    failures: list[TaskResult] = field(default_factory=list)
    unreachable: list[TaskResult] = field(default_factory=list)
    changes: list[TaskResult] = field(default_factory=list)
    skipped: list[TaskResult] = field(default_factory=list)
    unsafe: str | None = None
    """The name of a task that would not keep to check mode: the run ended before it."""
    ended: bool = False
    """Whether it came to its own end, whatever that was."""

    def take(self, line: bytes) -> str | None:
        """Take one line; return the name of the task that begins. What cannot be read is left out."""
        try:
            event = json.loads(line)
            return self._take(event) if isinstance(event, dict) else None
        except (ValueError, ValidationError, KeyError, TypeError):
            return None

    def _take(self, event: Mapping[str, Any]) -> str | None:
        match event.get("event"):
            case "task":
                self.tasks += 1
                return str(event["name"])
            case "result":
                self._result(TaskResult.model_validate(event))
            case "stats":
                counted = {name: int(event[name]) for name in HostResult.model_fields if name != "failed"}
                self.hosts[str(event["host"])] = HostResult(failed=int(event["failures"]), **counted)
            case "unsafe":
                self.unsafe = str(event["name"])
            case "end":
                self.ended = True
        return None

    def _result(self, result: TaskResult) -> None:
        lists = {
            "failed": self.failures,
            "unreachable": self.unreachable,
            "changed": self.changes,
            "skipped": self.skipped,
        }
        kept = None if result.ignored else lists.get(result.status)
        if kept is not None and len(kept) < MOST_KEPT:
            kept.append(result)


@contextlib.asynccontextmanager
async def listening(course: Course, begins: Callable[[str], None]) -> AsyncIterator[int]:
    """Give a descriptor for the program to write events to; at the end everything that it wrote is in `course`."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)
    loop = asyncio.get_running_loop()
    lines = _Lines(course, begins)
    loop.add_reader(reading, lines.read, reading)
    try:
        yield writing
        lines.read(reading, whole=True)
    finally:
        loop.remove_reader(reading)
        os.close(reading)
        os.close(writing)


@dataclass(slots=True)
class _Lines:
    """Cuts what comes into lines; one that is too long is dropped."""

    course: Course
    begins: Callable[[str], None]
    rest: bytes = b""

    def read(self, handle: int, whole: bool = False) -> None:
        """Read what is there: a part of it, or all."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(handle, CHUNK):
                *lines, self.rest = (self.rest + chunk).split(b"\n")
                self.rest = self.rest if len(self.rest) <= LONGEST_LINE else b""
                for line in lines:
                    if (task := self.course.take(line)) is not None:
                        self.begins(task)
                if not whole:
                    return
