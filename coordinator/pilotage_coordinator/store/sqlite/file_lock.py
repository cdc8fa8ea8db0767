"""The lock that keeps a second process away from a database."""

import fcntl
import os
from pathlib import Path

from pilotage_coordinator.store.errors import StoreLocked


class FileLock:
    """An exclusive lock on a file beside the database, held from construction until `release`.

    It is the kernel's (flock), so it ends with the process however that dies. The file stays: removing it would let
    two processes hold locks on two files of one name.
    """

    def __init__(self, database: Path) -> None:
        """Take the lock; raises StoreLocked, naming the holder's pid, if another has it."""
        path = database.with_name(database.name + ".lock")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreLocked(
                f"{database} is open in process {holder}: one coordinator at a time; stop that one first"
            ) from error
        except BaseException:
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; releasing again is no error."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
