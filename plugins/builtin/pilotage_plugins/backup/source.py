"""What a backup reads: the paths, what is left out of them, and how much that is."""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api import InfrastructureFailed, StepFailed, TargetFailed

from pilotage_plugins.tree.exclusion import Exclusion
from pilotage_plugins.tree.manifest import ManifestTotals, SurveyTotals, survey, write_manifest
from pilotage_plugins.tree.walk import Walk, path_key

EXCLUDED_LIMIT: Final = 5000
EXCLUDE_FILE_LIMIT: Final = 1024 * 1024


@dataclass(slots=True)
class Source:
    """Paths in walk order, and what the patterns leave out of them. Its methods block: for threads."""

    paths: list[bytes]
    exclusion: Exclusion
    one_file_system: bool
    checkpoint: Callable[[], None]
    surveyed: Path
    excluded: list[bytes] = field(default_factory=list)
    totals: SurveyTotals = field(default_factory=SurveyTotals)

    def survey(self) -> None:
        """Note the identity of everything, and the exact paths that the patterns leave out."""
        try:
            self.totals = survey(self._walks(self.excluded.append), self.surveyed)
        except OSError as error:
            raise _scratch_failed(error) from error
        if len(self.excluded) > EXCLUDED_LIMIT:
            raise StepFailed(
                f"the patterns leave out {len(self.excluded)} single paths, more than {EXCLUDED_LIMIT}:"
                " name their folders"
            )

    def describe(self, header: dict[str, Any], into: Path) -> ManifestTotals:
        """Write the manifest of what was backed up; after the backup, against the survey before it."""
        try:
            return write_manifest(self._walks(lambda _path: None), self.surveyed, header, into)
        except OSError as error:
            raise _scratch_failed(error) from error

    def _walks(self, excluded: Callable[[bytes], None]) -> list[Walk]:
        return [
            Walk(
                path,
                exclusion=self.exclusion,
                one_file_system=self.one_file_system,
                checkpoint=self.checkpoint,
                excluded=excluded,
            )
            for path in self.paths
        ]


def fit_paths(paths: Iterable[str]) -> list[bytes]:
    """Return the paths in walk order; raises TargetFailed for one that is not there, or lies in another."""
    wanted = set(paths)
    for path in wanted:
        if reason := unfit(path):
            raise TargetFailed(f"cannot back up {path!r}: {reason}")
    ordered = sorted(map(os.fsencode, wanted), key=path_key)
    for outer, inner in pairwise(ordered):
        if inner.startswith(outer.rstrip(b"/") + b"/"):
            raise TargetFailed(f"{os.fsdecode(inner)!r} lies in {os.fsdecode(outer)!r}: name only the outer one")
    return ordered


def unfit(path: str) -> str:
    """Say why a path cannot be backed up; empty when it can."""
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        return f"{error.strerror}"
    return f"it is a symbolic link; name {os.path.realpath(path)!r} instead" if stat.S_ISLNK(mode) else ""


def read_exclude_file(path: str) -> list[str]:
    """Return the patterns of a file: one a line, blank lines and those that begin with # left out; blocking.

    Nothing in it is expanded. Raises TargetFailed when it cannot be read, or is bigger than a mebibyte.
    """
    try:
        with Path(path).open("rb") as source:
            content = source.read(EXCLUDE_FILE_LIMIT + 1)
    except OSError as error:
        raise TargetFailed(f"the exclude file {path!r} cannot be read: {error.strerror}") from error
    if len(content) > EXCLUDE_FILE_LIMIT:
        raise TargetFailed(f"the exclude file {path!r} is bigger than {EXCLUDE_FILE_LIMIT} bytes")
    lines = [os.fsdecode(line.rstrip(b"\r")) for line in content.split(b"\n")]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _scratch_failed(error: OSError) -> OSError | InfrastructureFailed:
    """A full scratch disk may be emptied; a path that is gone, or another error, stays what it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InfrastructureFailed(f"the scratch folder's disk is full: {error.strerror}")
    return error
