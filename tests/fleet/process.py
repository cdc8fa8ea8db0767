"""Programs that are started, killed and started again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 20.0


def program(name: str) -> str:
    """Return the path of one of our own programs, from the environment that runs this."""
    return str(Path(sys.executable).parent / name)


@dataclass(slots=True)
class Process:
    """A program of a fleet. `environment` is read anew at each start, so addresses found meanwhile are used."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    running: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Return the pid of the process that was started last."""
        assert self.running is not None, f"{self.name} was never started"
        return self.running.pid

    @property
    def alive(self) -> bool:
        """Return whether it runs."""
        return self.running is not None and self.running.poll() is None

    def start(self, extra: Mapping[str, str] | None = None) -> None:
        """Start it, with its output going to its log file; `extra` is added to its environment this time."""
        assert not self.alive, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self.environment, **(extra or {})},
            )

    def wait(self, seconds: float) -> int:
        """Wait for its end and return the exit code (negative: the signal); raises subprocess.TimeoutExpired."""
        assert self.running is not None, f"{self.name} was never started"
        return self.running.wait(seconds)

    def kill(self) -> int:
        """Kill -9 it and return the pid that it had."""
        assert self.running is not None, f"{self.name} was never started"
        pid = self.running.pid
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()
        return pid

    def terminate(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self.running is not None, f"{self.name} was never started"
        self.running.terminate()
        return self.running.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Ask it to end if it runs, and kill it if it does not obey."""
        if not self.alive:
            return
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()

    def output(self) -> str:
        """Return what it has written to its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def stop_left_behind(folder: Path) -> list[int]:
    """End every process that works for a fleet below `folder`, politely where that helps; returns their pids."""
    found = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_left_behind(entry, folder)]
    for entry in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(entry.name), signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while any(_is_left_behind(entry, folder) for entry in found) and time.monotonic() < until:
        time.sleep(0.05)
    kill_left_behind(folder)
    return sorted(int(entry.name) for entry in found)


def kill_left_behind(folder: Path) -> list[int]:
    """Kill every process that works for a fleet below `folder`: workers go on when their agent ends, on purpose.

    Returns their pids. A zygote and its workers have neither our environment nor arguments that tell; what shows whose
    they are is what they hold open, also once it is deleted.
    """
    # All are found before the first is killed: an orphan has lost the parent that tells whose it is.
    found = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_left_behind(entry, folder)]
    for entry in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(entry.name), signal.SIGKILL)
    return [int(entry.name) for entry in found]


def _is_left_behind(process: Path, folder: Path) -> bool:
    try:
        return int(process.name) != os.getpid() and _works_for(process, folder)
    except OSError:
        return False


def _works_for(process: Path, folder: Path) -> bool:
    mark = f"{folder}/"
    if f"PILOTAGE_STATE_DIR={mark}".encode() in (process / "environ").read_bytes():
        return True
    if b"pilotage_agent.runner" not in (process / "cmdline").read_bytes().split(b"\0"):
        return False
    return any(str(handle.readlink()).startswith(mark) for handle in (process / "fd").iterdir()) or _works_for_parent(
        process, folder
    )


def _works_for_parent(process: Path, folder: Path) -> bool:
    """Return whether a worker's parent, its zygote, works for the fleet: a worker may hold nothing of it open."""
    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    return parent != "1" and _works_for(process.parent / parent, folder)
