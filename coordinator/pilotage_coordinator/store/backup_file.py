"""The file that a backup of the coordinator is: a tar with a manifest, and how one is written and read.

Nothing in a file that is read is believed: names are those of the table here, sizes and digests those of the manifest.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from pilotage_coordinator.store.errors import BackupRefused

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "pilotage.db"
KEYS: Final = ("store.key", "audit.key", "authority.pem")
LARGEST_MANIFEST: Final = 64 * 1024 * 1024
_LOG: Final = re.compile(r"logs/[A-Za-z0-9_-]{1,40}/[A-Za-z0-9_-]{1,80}/[A-Za-z0-9%._-]{1,255}/[A-Za-z0-9%._-]{1,255}")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a backup: its bytes and their SHA-256 (hexadecimal)."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    coordinator_id: str
    version: str
    """Of the program that made it."""
    created_at: int
    """UTC microseconds."""
    epoch: int
    schema: int
    audit_sequence: int
    audit_hash: str
    store_key: str
    """Fingerprint of the key that opens secrets; the key itself may be kept elsewhere (a systemd credential)."""
    audit_key: str
    authority: str
    """Pin of the certificate authority."""
    logs: bool
    format: int = FORMAT
    parts: Mapping[str, Part] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode()


def read_manifest(data: bytes) -> Manifest:
    """Read a manifest; raises BackupRefused."""
    try:
        said: dict[str, Any] = json.loads(data)
        if said.get("format") != FORMAT:
            raise BackupRefused(
                f"the backup has format {said.get('format')}, this program reads {FORMAT}: use the version that made it"
            )
        parts = {name: Part(int(part["size"]), str(part["sha256"])) for name, part in said.pop("parts").items()}
        found = Manifest(**said, parts=parts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BackupRefused(f"the backup's manifest cannot be read: {error}") from error
    for name in found.parts:
        if name not in (DATABASE, *KEYS) and not is_log(name):
            raise BackupRefused(f"the backup holds {name[:80]!r}, which no backup of this product holds")
    if DATABASE not in found.parts:
        raise BackupRefused("the backup holds no database")
    return found


def write(to: BinaryIO, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write a backup of files as they are now; the manifest must name each. Raises OSError."""
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, MANIFEST, io.BytesIO(manifest.to_json()), len(manifest.to_json()))
        for name, file in files.items():
            with file.open("rb") as stream:
                _add(tar, name, stream, manifest.parts[name].size)


def read(source: BinaryIO, folder: Path) -> Manifest:
    """Unpack a backup into an empty folder, checking every byte; raises BackupRefused, OSError."""
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            members = iter(tar)
            first = next(members, None)
            if first is None or first.name != MANIFEST or first.size > LARGEST_MANIFEST:
                raise BackupRefused("the file is no backup of a coordinator: it does not begin with a manifest")
            stream = tar.extractfile(first)
            assert stream is not None
            manifest = read_manifest(stream.read())
            _unpack(tar, members, manifest, folder)
    except tarfile.TarError as error:
        raise BackupRefused(f"the file is no whole backup: {error}") from error
    return manifest


def is_log(name: str) -> bool:
    """Return whether a name, from the state folder on, is that of an attempt's log."""
    return _LOG.fullmatch(name) is not None and ".." not in name


def measured(file: Path) -> Part:
    """Return size and digest of a file."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while chunk := stream.read(1024 * 1024):
            digest.update(chunk)
            size += len(chunk)
    return Part(size, digest.hexdigest())


def _add(tar: tarfile.TarFile, name: str, stream: BinaryIO, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    tar.addfile(info, stream)


def _unpack(tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo], manifest: Manifest, folder: Path) -> None:
    missing = dict(manifest.parts)
    for member in members:
        part = missing.pop(member.name, None)
        if part is None or not member.isreg() or member.size != part.size:
            raise BackupRefused(f"the backup holds {member.name[:80]!r} otherwise than its manifest says")
        target = folder / member.name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stream = tar.extractfile(member)
        assert stream is not None
        digest = hashlib.sha256()
        with target.open("xb") as out:
            target.chmod(0o600)
            while chunk := stream.read(1024 * 1024):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != part.sha256:
            raise BackupRefused(f"{member.name} in the backup is damaged: its content does not give its digest")
    if missing:
        raise BackupRefused(f"the backup lacks {min(missing)}: it was cut")
