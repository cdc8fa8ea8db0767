"""What one attempt leaves on disk: where worker and agent meet, also when the agent was away in between.

`ID`          one line of who and what, written by the worker before the step's first instruction: its presence means
              that the attempt has begun. Then, at the end, one line of how it ended, with its SHA-256.
`ID.log/`     NDJSON, see step_log.py, and `progress`, the newest progress as JSON; made by the first of them
`ID.scratch/` the step's own
`ID.acked`    made by the agent when the result is acknowledged but the log not yet sent
`ID.unread`   made by the agent when it could not read the record and nobody else knows the attempt: the boot of then

Few files, because each costs a commit of the file system's journal when others make it busy.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.journal_record import entry_from_json, entry_to_json
from pilotage_agent.ledger import Entry

CUT_OFF: Final = "cut_off"
"""In an outcome: the step was told to stop, and did not come to the end of its clean-up."""


def folder_name(key: AttemptKey) -> str:
    """Return the name under which an attempt's files are found; keys may be longer than file names can be."""
    return hashlib.sha256(str(key).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """The files of one attempt; `path` is that of the record."""

    path: Path

    @property
    def scratch(self) -> Path:
        return Path(f"{self.path}.scratch")

    @property
    def logs(self) -> Path:
        return Path(f"{self.path}.log")

    @property
    def _acknowledged(self) -> Path:
        return Path(f"{self.path}.acked")

    def begin(self, entry_json: str) -> int:
        """Make the record, which says that the step begins now, and on a clock that nobody sets; returns its open
        descriptor, for `finish` and `close`. The worker calls it; raises FileExistsError when the attempt has begun.

        No fsync: it is only believed within the same boot, and the journal is what survives a power cut.
        """
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        handle = os.open(self.path, flags, 0o600)
        begun = json.dumps({"begun": time.clock_gettime(time.CLOCK_BOOTTIME), "entry": entry_json})
        try:
            _write_all(handle, begun.encode() + b"\n")
        except OSError:
            # A full disk: the step has not begun, and nothing may say that it has.
            os.close(handle)
            self.path.unlink(missing_ok=True)
            raise
        return handle

    def begin_again(self, entry: Entry) -> None:
        """Make the record of an attempt that has begun and whose record a power cut took, if that is so: a claim on it
        (`only_one`) needs a file. On a full disk there is none, and no claim."""
        with contextlib.suppress(OSError):
            os.close(self.begin(entry_to_json(entry)))

    def finish(self, handle: int, outcome: dict[str, Any]) -> None:
        """Add how the attempt ended. From now on it survives the end of the worker and of the agent."""
        body = json.dumps(outcome).encode()
        _write_all(handle, body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n")

    def close(self, handle: int, *, durable: bool) -> None:
        """Close the record. With `durable` it also survives a power cut once this returns."""
        try:
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        if durable:
            _fsync_folder(self.path.parent)

    def has_begun(self) -> bool:
        """Whether the worker was about to run the step. Only reliable within one boot."""
        return self.path.exists()

    def seconds_since_begun(self) -> float:
        """Return how long ago the step began; 0 when it has not or that cannot be read."""
        begun = self._lines()[:1]
        try:
            return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - float(json.loads(begun[0])["begun"]))
        except (IndexError, ValueError, KeyError, TypeError):
            return 0.0

    def entry(self) -> Entry | None:
        """Return whose record it is; None when that cannot be read."""
        begun = self._lines()[:1]
        try:
            return entry_from_json(json.loads(begun[0])["entry"])
        except (IndexError, ValueError, KeyError, TypeError):
            return None

    def read_outcome(self) -> dict[str, Any] | None:
        """Return how the attempt ended, or None when there is no whole outcome."""
        try:
            _, body, digest, end = self._lines()
        except ValueError:
            return None
        if end or hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        outcome: dict[str, Any] = json.loads(body)
        return outcome

    def mark_acknowledged(self) -> None:
        """Note that the result is kept by the coordinator; the files stay for the log only."""
        with contextlib.suppress(OSError):
            self._acknowledged.touch()

    def is_acknowledged(self) -> bool:
        """Whether only the log still matters."""
        return self._acknowledged.exists()

    def write_progress(self, fraction: float | None, text: str) -> None:
        """Replace the newest progress."""
        self.logs.mkdir(mode=0o700, exist_ok=True)
        draft = self.logs / "progress.new"
        draft.write_text(json.dumps([fraction, text]), encoding="utf-8")
        draft.replace(self.logs / "progress")

    @property
    def _unread(self) -> Path:
        return Path(f"{self.path}.unread")

    def may_be_in_the_making(self, boot: str) -> bool:
        """Whether a worker may be writing the record that cannot be read, as it was first seen in this boot.

        What cannot be read in a later boot, nobody will ever finish: no worker outlives the one in which it began.
        """
        try:
            return self._unread.read_text() == boot
        except OSError:
            with contextlib.suppress(OSError):
                self._unread.write_text(boot)
            return True

    def remove(self) -> None:
        """Delete all of it, the record last, so that a crash in between leaves nothing without a name."""
        for folder in (self.scratch, self.logs):
            if folder.exists():
                shutil.rmtree(folder, ignore_errors=True)
        for path in (self._acknowledged, self._unread, self.path):
            with contextlib.suppress(OSError):
                path.unlink()

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().split(b"\n")
        except OSError:
            return []


@contextlib.contextmanager
def only_one(record: Path) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether this process alone may act for the attempt of this record, and that claims it
    if so. The kernel gives the claim back when the process ends, however it does, and nothing is written for it.

    Without a record there is no claim, and nobody is kept out.
    """
    try:
        handle = os.open(record, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield lambda: True
        return

    def claim() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield claim
    finally:
        os.close(handle)


def read_progress(logs: Path) -> tuple[float | None, str] | None:
    """Return the newest progress in an attempt's log folder, if there is any."""
    try:
        fraction, text = json.loads((logs / "progress").read_text(encoding="utf-8"))
        return (None if fraction is None else float(fraction)), str(text)
    except (OSError, ValueError, TypeError):
        return None


def folders_in(root: Path, kept: Collection[str] = ()) -> Iterator[AttemptFolder]:
    """Return the attempts that left a record; what belongs to none is deleted, unless its name is among `kept`: a live
    worker may be about to make it."""
    names = {path.name for path in root.iterdir()} if root.is_dir() else set()
    for name in sorted({name.partition(".")[0] for name in names}):
        folder = AttemptFolder(root / name)
        if name in names:
            yield folder
        elif name not in kept:
            folder.remove()


def make_folder(path: Path) -> None:
    """Make a folder for its owner only; one that is there already will do. The parent must exist."""
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102 - every function that a worker runs costs it copies of pages
    except FileExistsError:
        return


def remove_folder(path: Path) -> None:
    """Delete a folder with all that is in it, as far as that is possible."""
    try:
        os.rmdir(path)  # noqa: PTH106 - most are empty
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def _write_all(handle: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(handle, data[written:])


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
