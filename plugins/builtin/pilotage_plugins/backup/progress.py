"""restic's JSON lines while it backs up: progress, errors of single files, and the summary."""

import errno
import json
import os
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_plugin_api import StepContext, StepFailed, Stream

ERRORS_KEPT: Final = 20
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
    summary: dict[str, Any] = field(default_factory=dict)
    vanished: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def stdout(self, line: bytes) -> None:
        """Take a line of standard output."""
        message = _message(line)
        match message.get("message_type"):
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
        done = f"{message.get('files_done', 0)} of {message.get('total_files', 0)} files"
        fraction = message.get("percent_done")
        self.ctx.progress(float(fraction) if isinstance(fraction, int | float) else None, done)

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


def _message(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"{"):
        return {}
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
