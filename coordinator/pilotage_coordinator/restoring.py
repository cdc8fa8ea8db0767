"""Putting a backup into an empty state folder. No coordinator runs meanwhile; the next one to start there hears its
hosts before it does anything (`serve --after-restore`, which a mark in the folder asks for)."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pilotage_coordinator.audit.chain import against_signed, follow
from pilotage_coordinator.audit.entry import AuditHead
from pilotage_coordinator.security.age import decrypt, read_identity
from pilotage_coordinator.security.audit_key import open_audit_key
from pilotage_coordinator.security.errors import SecurityError
from pilotage_coordinator.security.private_file import sync_folder
from pilotage_coordinator.security.secrets import KEY_FILE, StoreCipher, load_store_key
from pilotage_coordinator.store import backup_file
from pilotage_coordinator.store.backup_file import Manifest
from pilotage_coordinator.store.errors import BackupRefused, StoreError
from pilotage_coordinator.store.sqlite.audit import raw_records
from pilotage_coordinator.store.sqlite.copies import RESTORED, described
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.seal import read_signed

_AGE: Final = b"age-encryption.org/"
_PAGE: Final = 2_000


class CannotRestore(Exception):
    """The backup cannot be put there; nothing was changed. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that was put in place. `warnings`: what must be seen to by hand."""

    manifest: Manifest
    warnings: tuple[str, ...]


def restore(file: Path, state_dir: Path, identity: Path | None) -> Restored:
    """Check a backup as a whole and put it into `state_dir`, which must be empty or not there. Raises CannotRestore."""
    state_dir = state_dir.absolute()
    draft = state_dir.with_name(f".{state_dir.name}.restoring")
    try:
        if state_dir.exists() and any(state_dir.iterdir()):
            raise CannotRestore(
                f"{state_dir} is not empty. Stop the coordinator, move the folder away (keep it: nothing else tells "
                "what happened since the backup), and restore again"
            )
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        try:
            with _plain(file, identity, draft) as source:
                folder = draft / "state"
                folder.mkdir(mode=0o700)
                manifest = backup_file.read(source, folder)
            warnings = tuple(_checked(folder, manifest))
            _settle(folder)
            if state_dir.exists():
                state_dir.rmdir()
            folder.replace(state_dir)
            sync_folder(state_dir.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (StoreError, SecurityError, OSError) as error:
        raise CannotRestore(str(error)) from error
    return Restored(manifest, warnings)


@contextlib.contextmanager
def _plain(file: Path, identity: Path | None, draft: Path) -> Iterator[BinaryIO]:
    """Open a backup, decrypted if it is encrypted."""
    with file.open("rb") as source:
        encrypted = source.read(len(_AGE)) == _AGE
        source.seek(0)
        if not encrypted:
            yield source
            return
        if identity is None:
            raise CannotRestore(f"{file} is encrypted: give the age identity that opens it with --identity FILE")
        opened = draft / "backup.tar"
        with opened.open("x+b") as plain:
            opened.chmod(0o600)
            decrypt(source, plain, read_identity(identity.read_text(encoding="utf-8")))
            plain.seek(0)
            yield plain


def _checked(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Compare what was unpacked with the manifest, and the audit log with its signature; yield warnings."""
    database = folder / backup_file.DATABASE
    found = described(database)
    newest = Queries().migrations[-1].version
    if found.schema > newest:
        raise BackupRefused(
            f"the backup's database has schema {found.schema}, this program knows schemas up to {newest}: install "
            f"version {manifest.version}, which made it, or a newer one"
        )
    said = AuditHead(manifest.audit_sequence, manifest.audit_hash)
    if (found.coordinator_id, found.head) != (manifest.coordinator_id, said):
        raise BackupRefused("the backup's database is not the one that its manifest names")
    if "audit.key" not in manifest.parts:
        raise BackupRefused("the backup holds no audit.key, so nobody could tell whether its audit log is whole")
    key = open_audit_key(folder)
    queries = Queries()
    with closing(sqlite3.connect(f"{database.as_uri()}?immutable=1", uri=True)) as connection:
        head, fault = AuditHead(), ""
        while not fault and head.sequence < found.head.sequence:
            head, fault = follow(head, raw_records(connection, queries, head.sequence, _PAGE))
        signed = read_signed(connection, queries) if not fault else None
    if not fault and (signed is None or signed.key != key.public or not key.verify(signed.statement, signed.signature)):
        fault = "its signed head carries no signature of audit.key"
    if fault := fault or against_signed(head, signed):
        raise BackupRefused(f"the audit log in the backup does not hold: {fault}")
    if KEY_FILE not in manifest.parts:
        yield (
            f"the key that opens secrets ({manifest.store_key}) is not in the backup: it was a systemd credential. "
            "Give it to the unit again before you start the coordinator"
        )
    elif StoreCipher(load_store_key(folder, {}, may_create=False)).fingerprint != manifest.store_key:
        raise BackupRefused("store.key in the backup is not the key that its manifest names")


def _settle(folder: Path) -> None:
    """Mark the folder, and make everything in it durable."""
    (folder / RESTORED).write_text("The next start hears the hosts first; then this file goes by itself.\n")
    for name, mode in (("store.key", 0o400), ("audit.key", 0o400), (RESTORED, 0o600)):
        if (folder / name).exists():
            (folder / name).chmod(mode)
    for place in [folder, *folder.rglob("*")]:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
