"""Programs that `up` starts and `down` stops: detached, each with a log file and a file that says which process it is.

A process is known by its id, its start time and the boot (from /proc), so that a recycled id is never mistaken for it.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotage_client import ClientError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Program:
    """One program: its name, what to run, and the folder of its files."""

    name: str
    argv: Sequence[str]
    folder: Path

    @property
    def log(self) -> Path:
        """Return where its output goes."""
        return self.folder / f"{self.name}.log"

    @property
    def mark(self) -> Path:
        """Return the file that says which process it is."""
        return self.folder / f"{self.name}.json"

    def running(self) -> int | None:
        """Return the id of the process that `start` started and that still lives, or None."""
        try:
            mark = json.loads(self.mark.read_text(encoding="utf-8"))
            pid = int(mark["pid"])
            same = mark["identity"] == _identity(pid)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return pid if same else None

    def start(self) -> int:
        """Start it as a session of its own; return its process id. Raises ClientError."""
        try:
            # Its parent holds the coordinator's keys: no part of the way to them is open to others.
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with self.log.open("ab") as log:
                begins = log.tell()
                process = subprocess.Popen(
                    list(self.argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            identity = _identity(process.pid)
            mark = {"pid": process.pid, "identity": identity, "log_begins": begins}
            self.mark.write_text(json.dumps(mark), encoding="utf-8")
        except OSError as error:
            raise ClientError(f"{self.name} cannot be started: {error}", f"look at {self.folder}") from error
        return process.pid

    def stop(self, timeout: float) -> bool:
        """Ask it to end by SIGTERM and wait; return whether it is gone. Never kills it."""
        pid = self.running()
        if pid is None:
            return True
        os.kill(pid, signal.SIGTERM)
        return self.wait_gone(timeout)

    def wait_gone(self, timeout: float) -> bool:
        """Wait until it has ended; return whether it has."""
        end = time.monotonic() + timeout
        while self.running() is not None:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        self.mark.unlink(missing_ok=True)
        return True

    def last_words(self) -> str:
        """Return the last lines that it has written to its log since its last start."""
        try:
            begins = int(json.loads(self.mark.read_text(encoding="utf-8")).get("log_begins", 0))
        except (OSError, ValueError):
            begins = 0
        try:
            with self.log.open("rb") as log:
                log.seek(max(begins, self.log.stat().st_size - 8192))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LAST_LINES:])


def _identity(pid: int) -> str:
    """Return what tells this process from any other that ever had its id; raise OSError when it does not live."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    if state in ("Z", "X"):
        raise ProcessLookupError(pid)
    return f"{BOOT_ID.read_text(encoding='utf-8').strip()}/{started}"
