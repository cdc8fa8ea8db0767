"""The folder of one attempt: where worker and agent meet, also when the agent was away in between.

`entry.json`  who, what and which worker: written by the agent before the hand-over
`begun`       made by the worker before the step's first instruction; seconds since boot
`log.N`       NDJSON, see step_log.py
`progress`    the newest progress, JSON
`acknowledged` made by the agent when the result is acknowledged and the log is not yet sent
`outcome`     one line of JSON and its SHA-256: how the attempt ended
`scratch/`    the step's own
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.journal_record import entry_from_json, entry_to_json
from pilotage_agent.ledger import Entry


def folder_name(key: AttemptKey) -> str:
    """Return the name of an attempt's folder; keys may be longer than file names can be."""
    return hashlib.sha256(str(key).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """The paths of one attempt."""

    path: Path

    @property
    def scratch(self) -> Path:
        return self.path / "scratch"

    def make(self, entry: Entry) -> None:
        """Make the folder anew and write down whose it is. No fsync: the journal is what survives a power cut."""
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            self.remove()
            self.path.mkdir(mode=0o700)
        (self.path / "entry.json").write_text(entry_to_json(entry), encoding="utf-8")

    def entry(self) -> Entry | None:
        """Return whose folder it is; None when that cannot be read."""
        try:
            return entry_from_json((self.path / "entry.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def mark_begun(self) -> None:
        """Note that the step is about to run, and when on a clock that nobody sets. Called by the worker."""
        (self.path / "begun").write_text(repr(time.clock_gettime(time.CLOCK_BOOTTIME)))

    def has_begun(self) -> bool:
        """Whether the worker was about to run the step. Only reliable within one boot."""
        return (self.path / "begun").exists()

    def seconds_since_begun(self) -> float:
        """Return how long ago the step began; 0 when it has not or that cannot be read."""
        try:
            return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - float((self.path / "begun").read_text()))
        except (OSError, ValueError):
            return 0.0

    def mark_acknowledged(self) -> None:
        """Note that the result is kept by the coordinator; the folder stays for its log only."""
        with contextlib.suppress(OSError):
            (self.path / "acknowledged").touch()

    def is_acknowledged(self) -> bool:
        """Whether only the log still matters."""
        return (self.path / "acknowledged").exists()

    def write_outcome(self, outcome: dict[str, Any], *, durable: bool) -> None:
        """Write how the attempt ended. With `durable` it survives a power cut once this returns.

        The digest makes a torn file worth nothing, so one new file is enough and no rename is needed.
        """
        body = json.dumps(outcome).encode()
        data = body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n"
        handle = os.open(self.path / "outcome", os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            written = 0
            while written < len(data):
                written += os.write(handle, data[written:])
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        if durable:
            _fsync_folder(self.path)

    def read_outcome(self) -> dict[str, Any] | None:
        """Return how the attempt ended, or None when there is no whole outcome."""
        try:
            body, digest, end = (self.path / "outcome").read_bytes().split(b"\n")
        except (OSError, ValueError):
            return None
        if end or hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        outcome: dict[str, Any] = json.loads(body)
        return outcome

    def write_progress(self, fraction: float | None, text: str) -> None:
        """Replace the newest progress."""
        draft = self.path / "progress.new"
        draft.write_text(json.dumps([fraction, text]), encoding="utf-8")
        draft.replace(self.path / "progress")

    def read_progress(self) -> tuple[float | None, str] | None:
        """Return the newest progress, if there is any."""
        try:
            fraction, text = json.loads((self.path / "progress").read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return None
        return (None if fraction is None else float(fraction)), str(text)

    def remove(self) -> None:
        """Delete the folder and all in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def folders_in(root: Path) -> Iterator[AttemptFolder]:
    """Return the folders of every attempt that left one."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(root.iterdir()):
            if path.is_dir() and not path.is_symlink():
                yield AttemptFolder(path)


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
