"""Snapshots of a repository: how ours are marked, and how they are found again."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pilotage_plugin_api import StepFailed

from pilotage_plugins.backup.moment import parse_time
from pilotage_plugins.backup.repository import masked
from pilotage_plugins.backup.restic import Restic

OURS: Final = "pilotage"
"""The tag of every snapshot of data that Pilotage made."""

MANIFEST: Final = "pilotage-manifest"
"""The tag of the small snapshots that say something of another one: its manifest, or that files are missing in it.
Adding is all that an append-only repository allows, so nothing is ever marked by changing it. They never carry
`pilotage`, so that data is selected without them."""

DATABASE: Final = "database:"
"""How the tag that names a database's engine begins."""

ATTEMPT: Final = "attempt:"
"""How the tag begins that names the attempt which made the snapshot."""

SQLITE: Final = f"{DATABASE}sqlite"
_MANIFEST_OF: Final = "manifest-of:"
_PARTIAL: Final = "partial:"
_BYTES: Final = "bytes:"
_FILES: Final = "files:"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as restic lists it."""

    id: str
    time: datetime
    host: str
    paths: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def group(self) -> tuple[str, ...]:
        """What one line of backups shares: the same paths of the same host."""
        return (self.host, *self.paths)

    @property
    def manifest_of(self) -> str | None:
        """The id of the snapshot whose manifest this is; None for data."""
        return next((tag.removeprefix(_MANIFEST_OF) for tag in self.tags if tag.startswith(_MANIFEST_OF)), None)

    @property
    def lacks_files_in(self) -> str | None:
        """The id of the snapshot of which this one says that files are missing in it."""
        return next((tag.removeprefix(_PARTIAL) for tag in self.tags if tag.startswith(_PARTIAL)), None)

    @property
    def engine(self) -> str | None:
        """The engine of the database whose dump this is; None for files."""
        return next((tag.removeprefix(DATABASE) for tag in self.tags if tag.startswith(DATABASE)), None)

    def counted(self, prefix: str) -> int | None:
        """Return the number in the tag with this prefix."""
        found = next((tag.removeprefix(prefix) for tag in self.tags if tag.startswith(prefix)), "")
        return int(found) if found.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Size:
    """What a snapshot holds, as its manifest's tags say."""

    files: int | None
    bytes: int | None


def attempt_tag(key: str) -> str:
    """Return the tag that finds the snapshot of an attempt; keys may hold anything, tags no commas."""
    return f"{ATTEMPT}{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def manifest_tags(data_id: str, files: int, size: int) -> list[str]:
    """Return the tags of the manifest of a snapshot."""
    return [MANIFEST, f"{_MANIFEST_OF}{data_id}", f"{_FILES}{files}", f"{_BYTES}{size}"]


def partial_tags(data_id: str) -> list[str]:
    """Return the tags of the note that files are missing in a snapshot."""
    return [MANIFEST, f"{_PARTIAL}{data_id}"]


def check_tag(tag: str) -> str:
    """Return a tag that an author wants; raises ValueError for one that restic would split or that is ours."""
    if not tag or "," in tag or tag != tag.strip() or len(tag) > 256 or not tag.isprintable():
        raise ValueError(f"{tag!r} is no tag: no commas, no line breaks, at most 256 characters")
    if tag.startswith((OURS, _MANIFEST_OF, _PARTIAL, ATTEMPT, _BYTES, _FILES, DATABASE)):
        raise ValueError(f"{tag!r} begins like the tags that Pilotage sets itself")
    return tag


def size_of(snapshot: Snapshot, manifests: Iterable[Snapshot]) -> Size:
    """Return what the snapshot holds, from its manifest among these; unknown without one."""
    manifest = next((found for found in manifests if found.manifest_of == snapshot.id), None)
    return Size(manifest.counted(_FILES), manifest.counted(_BYTES)) if manifest else Size(None, None)


async def find(restic: Restic, *, tags: Iterable[str] = (), host: str | None = None) -> list[Snapshot]:
    """Return the snapshots that carry all these tags, of one host or of all, oldest first."""
    arguments = ["--tag", ",".join(tags)] if tags else []
    if host is not None:
        arguments += ["--host", host]
    listed = await restic.json("listing snapshots", "snapshots", *arguments)
    return sorted(map(_snapshot, listed or []), key=lambda snapshot: snapshot.time)


def is_partial(snapshot: Snapshot, notes: Iterable[Snapshot]) -> bool:
    """Whether files are missing in it that should have been backed up."""
    return any(note.lacks_files_in == snapshot.id for note in notes)


def is_whole(snapshot: Snapshot, notes: Sequence[Snapshot]) -> bool:
    """Whether a snapshot holds all that its backup should have stored.

    The stream of a database ends in the same way when its dump is complete and when the process that fed it was
    killed; only what was complete got a manifest. Files are read by restic itself, which stores no snapshot before
    it has seen all of them.
    """
    if snapshot.engine is not None:
        return any(note.manifest_of == snapshot.id for note in notes)
    return not is_partial(snapshot, notes)


async def find_data(restic: Restic, host: str | None) -> tuple[list[Snapshot], list[Snapshot]]:
    """Return the snapshots of data, of one host or of all, and the small ones that say something of them."""
    arguments = ["--tag", OURS, "--tag", MANIFEST] + ([] if host is None else ["--host", host])
    listed = await restic.json("listing snapshots", "snapshots", *arguments)
    found = sorted(map(_snapshot, listed or []), key=lambda snapshot: snapshot.time)
    return [one for one in found if OURS in one.tags], [one for one in found if MANIFEST in one.tags]


async def find_one(restic: Restic, wanted: str, host: str) -> Snapshot:
    """Return the snapshot with this id or unambiguous beginning of one, or the `latest` whole one of the host."""
    if wanted == "latest":
        data, notes = await find_data(restic, host)
        whole = [snapshot for snapshot in data if is_whole(snapshot, notes)]
        if not whole:
            raise StepFailed(
                f"there is no whole snapshot of {host} in {masked(restic.params.repository)}:"
                " run backup.create first, or name a partial one by its id (backup.list shows them)"
            )
        return whole[-1]
    found = [snapshot for snapshot in await find(restic) if snapshot.id.startswith(wanted)]
    if len(found) != 1:
        how_many = f"{len(found)} snapshots begin" if found else "no snapshot begins"
        raise StepFailed(f"{how_many} with {wanted} in {masked(restic.params.repository)}: see backup.list")
    return found[0]


def check_snapshot_id(text: str) -> str:
    """Return a snapshot id or `latest`; raises ValueError otherwise."""
    if text == "latest" or re.fullmatch(r"[0-9a-f]{8,64}", text):
        return text
    raise ValueError(f"{text!r} is no snapshot: write `latest`, or at least 8 digits of its id")


def _snapshot(listed: dict[str, Any]) -> Snapshot:
    try:
        return Snapshot(
            id=listed["id"],
            time=parse_time(listed["time"]),
            host=listed["hostname"],
            paths=tuple(listed["paths"]),
            tags=tuple(listed.get("tags") or ()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StepFailed(f"restic lists a snapshot that cannot be read ({error}): a newer restic?") from error
