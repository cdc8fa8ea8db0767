"""What a step type sees of its worker: where its lines and progress go, and the secrets it was granted."""

import asyncio
import io
import threading
import time
from collections.abc import Mapping
from typing import Final

from pilotage_plugin_api import Refused, Stream
from pilotage_plugin_api.output import LineCutter
from pilotage_proto.redaction import Redactor

from pilotage_agent.runner.attempt_folder import AttemptFolder
from pilotage_agent.runner.step_log import LINE_LIMIT, StepLogWriter

PROGRESS_SECONDS: Final = 0.2
"""Progress is written down at most this often; what comes between is replaced by what comes later."""

_PROGRESS_TEXT: Final = 500

PRINTED_LIMIT: Final = 4 * LINE_LIMIT
"""Bytes of a printed line that are held until its end comes. More than the log keeps of a line, so that a secret at the
place where the log cuts is still seen whole."""


def microseconds() -> int:
    """Return the time of this machine, UTC microseconds."""
    return time.time_ns() // 1000


class AttemptReporter:
    """Writes a step's lines and progress into its attempt's folder; usable from any thread of the worker."""

    def __init__(
        self, log: StepLogWriter, folder: AttemptFolder, redactor: Redactor, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._log = log
        self._folder = folder
        self._redactor = redactor
        self._loop = loop
        self._lock = threading.Lock()
        self._newest: tuple[float | None, str] | None = None
        self._timer_set = False

    def log(self, stream: Stream, text: str) -> None:
        """Take one line."""
        with self._lock:
            self._log.write(stream.value, text)

    def note(self, text: str) -> None:
        """Add a line of the agent's own."""
        self.log(Stream.STEP, text)

    def progress(self, fraction: float | None, text: str) -> None:
        """Take the newest progress."""
        with self._lock:
            self._newest = (fraction, self._redactor.text(text)[:_PROGRESS_TEXT])
            if self._timer_set:
                return
            self._timer_set = True
        self._loop.call_soon_threadsafe(self._write_progress)

    def _write_progress(self) -> None:
        with self._lock:
            newest, self._newest = self._newest, None
            if newest is None:
                self._timer_set = False
                return
        self._loop.call_later(PROGRESS_SECONDS, self._write_progress)
        try:
            self._folder.write_progress(*newest)
        except OSError:
            return


class GrantedSecrets:
    """The secrets that came with the assignment."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._values = values

    async def resolve(self, name: str) -> bytes:
        """Return a secret's content; raises Refused when it was not granted."""
        try:
            return self._values[name]
        except KeyError:
            raise Refused(
                f"the secret {name} was not granted to this step: store it with pilotage secret set {name}"
                f" and reference it as secret://{name} in the step's parameters"
            ) from None


class PrintedText(io.TextIOBase):
    """A text stream whose lines become log lines; usable from any thread, bounded whatever is printed.

    `flush` shows nothing: only whole lines can be searched for secrets.
    """

    def __init__(self, reporter: AttemptReporter, stream: Stream) -> None:
        self._reporter = reporter
        self._stream = stream
        self._lock = threading.Lock()
        self._lines: LineCutter | None = None

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            if self._lines is None:
                self._lines = LineCutter(self._show, PRINTED_LIMIT)
            self._lines.feed(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def finish(self) -> None:
        """Show a last line that has no end."""
        with self._lock:
            if self._lines is not None:
                self._lines.finish()

    def _show(self, line: bytes) -> None:
        self._reporter.log(self._stream, line.decode("utf-8", "backslashreplace"))
