"""The agent's state folder: what lies where, and the lock that keeps a second agent out."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from pilotage_agent.errors import ConfigRefused, StateLocked


@dataclass(frozen=True, slots=True)
class StateDir:
    """The paths below one state folder."""

    path: Path

    @property
    def identity(self) -> Path:
        return self.path / "identity"

    @property
    def joining(self) -> Path:
        return self.path / "joining"

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    @property
    def holdings(self) -> Path:
        return self.path / "holdings.json"

    @property
    def owners(self) -> Path:
        return self.path / "owners"

    @property
    def approvers(self) -> Path:
        return self.path / "approvers"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    def make(self) -> None:
        """Make the folders; raises ConfigRefused when that is not possible."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self.attempts.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigRefused(
                f"the state folder {self.path} cannot be made: {error.strerror}."
                " Run as root, or choose another with --state-dir"
            ) from error


class StateLock:
    """Held by the one agent process that works in a state folder, until the process ends."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def take(cls, state: StateDir) -> "StateLock":
        """Take the lock at once; raises StateLocked, naming the process that holds it."""
        handle = os.open(state.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise StateLocked(
                f"another agent (pid {holder}) works in {state.path}: stop it, or use another --state-dir"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        return cls(handle)

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._handle)
