"""restic's JSON lines while it backs up: progress, errors of single files, and the summary."""

import errno
import json
import os
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_plugin_api import StepContext, StepFailed, Stream

ERRORS_KEPT: Final = 20
MOST_BEFORE_THE_END: Final = 0.99
"""When everything is read, restic still has the last packs, the index and the snapshot to store."""
_VANISHED: Final = "no such file or directory"


@dataclass(slots=True)
class BackupListener:
    """Takes each line of `restic backup --json`.

    `vanished` counts files that disappeared or were replaced between being listed and being read: normal in a living
    folder. `failed` counts the others; the first twenty are kept in `errors`.
    """

    ctx: StepContext
    began: float
    """Unix time at which restic was started."""
    expected_files: int = 0
    expected_bytes: int = 0
    """What there is to read, when somebody counted before; restic itself counts while it reads."""
    quiet: bool = False
    """Whether somebody else reports the progress: of a stream, restic knows no size."""
    summary: dict[str, Any] = field(default_factory=dict)
    vanished: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def stdout(self, line: bytes) -> None:
        """Take a line of standard output."""
        message = _message(line)
        match message.get("message_type"):
            case "status" if self.quiet:
                return
            case "status":
                self._progress(message)
            case "summary":
                self.summary = message
            case "error":
                self._error(message)
            case None if line.strip():
                self.ctx.log(line.decode("utf-8", "backslashreplace"), Stream.STDOUT)

    def stderr(self, line: bytes) -> None:
        """Take a line of standard error, where some versions report errors of files."""
        message = _message(line)
        if message.get("message_type") == "error":
            self._error(message)
        elif line.strip():
            self.ctx.log(line.decode("utf-8", "backslashreplace"), Stream.STDERR)

    def count(self, name: str) -> int:
        """Return a number of the summary; raises StepFailed when restic gave none."""
        if not isinstance(value := self.summary.get(name), int):
            raise StepFailed(f"restic ended without saying {name}: its summary is {self.summary}")
        return value

    def _progress(self, message: dict[str, Any]) -> None:
        """Report how far it is. restic says 100 % of what it has found so far, long before it has found everything:
        so the fraction is of what was counted before, and unknown when nobody did."""
        files = max(self.expected_files, _number(message, "total_files"))
        size = max(self.expected_bytes, _number(message, "total_bytes"))
        done, read = _number(message, "files_done"), _number(message, "bytes_done")
        fraction = min(read / size, MOST_BEFORE_THE_END) if self.expected_bytes and size else None
        self.ctx.progress(fraction, f"{done} of {files} files" if files else "restic is starting")

    def _error(self, message: dict[str, Any]) -> None:
        error = message.get("error")
        details = error if isinstance(error, dict) else {}
        text = str(details.get("message") or details or error)
        item = str(message.get("item") or details.get("Path") or "?")
        unexplained = not details and not isinstance(error, str)
        if details.get("Err") == errno.ENOENT or _VANISHED in text or (unexplained and self._replaced(item)):
            self.vanished += 1
            return
        self.failed += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(f"{item}: {text}")
            self.ctx.log(f"{item}: {text}", Stream.STDERR)

    def _replaced(self, item: str) -> bool:
        """Return whether a file is gone, or is another than before the backup.

        Some errors of restic 0.14 come without any words; a file that was swapped under its reader gives such a one.
        """
        try:
            return os.lstat(item).st_ctime >= self.began
        except FileNotFoundError:
            return True
        except OSError:
            return False


@dataclass(slots=True)
class RestoreListener:
    """Takes each line of `restic restore --json`, and reports how far it is within a part (`begin` to `end`, fractions)
    of the whole attempt. Older restics say nothing of it (`tells`)."""

    ctx: StepContext
    begin: float = 0.0
    end: float = MOST_BEFORE_THE_END
    tells: bool = True

    def start(self, what: str) -> None:
        """Say that it begins."""
        silent = "" if self.tells else "; this restic does not say how far it is"
        self.ctx.progress(self.begin or None, f"restoring {what}{silent}")

    def line(self, line: bytes) -> None:
        """Take a line of standard output."""
        message = _message(line)
        match message.get("message_type"):
            case "status":
                self._progress(message)
            case "summary" | "verbose_status":
                return
            case _ if line.strip():
                self.ctx.log(line.decode("utf-8", "backslashreplace"), Stream.STDOUT)

    def _progress(self, message: dict[str, Any]) -> None:
        size, done = _number(message, "total_bytes"), _number(message, "bytes_restored")
        if size:
            fraction = self.begin + (self.end - self.begin) * min(1.0, done / size)
            self.ctx.progress(fraction, f"restored {_megabytes(done)} of {_megabytes(size)} MB")


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.1f}"


def _number(message: dict[str, Any], name: str) -> int:
    value = message.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _message(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"{"):
        return {}
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
