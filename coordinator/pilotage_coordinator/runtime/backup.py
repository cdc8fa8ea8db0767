"""A backup of the coordinator itself, made while it runs."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from pilotage_proto.release import release

from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.security.age import encrypt, read_recipient
from pilotage_coordinator.security.private_file import sync_folder
from pilotage_coordinator.store import backup_file
from pilotage_coordinator.store.backup_file import Manifest
from pilotage_coordinator.store.errors import StoreUnavailable
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.sqlite.copies import described

FOLDER: Final = "backups"
LOGS: Final = "logs"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made."""

    file: Path
    size: int
    manifest: Manifest


@dataclass(slots=True)
class Backups:
    """Makes them; one at a time."""

    store: Store
    clock: Clock
    state_dir: Path
    store_key: str
    audit_key: str
    authority: str
    """Fingerprints: of the key for secrets, of the key for the audit log, and the authority's pin."""
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def create(self, recipients: Sequence[str], *, logs: bool) -> Backup:
        """Write a backup, encrypted to `recipients` if there are any, into the state folder's `backups`.

        The copy is one moment of the database; steps and agents are not disturbed. Raises AgeError for a recipient that
        is none, StoreError.
        """
        keys = [read_recipient(each) for each in recipients]
        try:
            return await self._create(keys, logs)
        except OSError as error:
            raise StoreUnavailable(f"the backup cannot be written: {error}") from error

    async def _create(self, recipients: Sequence[Any], logs: bool) -> Backup:
        async with self.alone:
            folder = self.state_dir / FOLDER
            folder.mkdir(mode=0o700, exist_ok=True)
            work = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=".making-", dir=folder))
            try:
                copy = work / backup_file.DATABASE
                await self.store.copy_to(copy)
                return await asyncio.to_thread(self._write, folder, work, copy, recipients, logs)
            finally:
                await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    def _write(self, folder: Path, work: Path, copy: Path, recipients: Sequence[Any], logs: bool) -> Backup:
        files = {backup_file.DATABASE: copy}
        files |= {name: self.state_dir / name for name in backup_file.KEYS if (self.state_dir / name).exists()}
        if logs:
            files |= self._logs(work)
        found = described(copy)
        now = self.clock.now()
        manifest = Manifest(
            coordinator_id=found.coordinator_id,
            version=release(),
            created_at=now,
            epoch=found.epoch,
            schema=found.schema,
            audit_sequence=found.head.sequence,
            audit_hash=found.head.hash,
            store_key=self.store_key,
            audit_key=self.audit_key,
            authority=self.authority,
            logs=logs,
            parts={name: backup_file.measured(file) for name, file in files.items()},
        )
        stamp = datetime.fromtimestamp(now / 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"pilotage-{stamp}-{found.head.sequence}.tar" + (".age" if recipients else "")
        plain = work / "backup.tar"
        with plain.open("xb") as out:
            plain.chmod(0o600)
            backup_file.write(out, manifest, files)
            _sync(out)
        if recipients:
            sealed = work / "backup.tar.age"
            with plain.open("rb") as source, sealed.open("xb") as out:
                sealed.chmod(0o600)
                encrypt(source, out, recipients)
                _sync(out)
            plain = sealed
        target = folder / name
        plain.replace(target)
        sync_folder(folder)
        return Backup(target, target.stat().st_size, replace(manifest, parts={}))

    def _logs(self, work: Path) -> dict[str, Path]:
        """Copy the logs as far as they are written; what is added meanwhile is not in the backup."""
        copied: dict[str, Path] = {}
        source = self.state_dir / LOGS
        for file in sorted(source.rglob("*")):
            name = f"{LOGS}/{file.relative_to(source)}"
            if not file.is_file() or file.is_symlink() or not backup_file.is_log(name):
                continue
            target = work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(file, target)
                copied[name] = target
        return copied


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())
