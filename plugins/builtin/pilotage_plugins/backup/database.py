"""`backup.database`: a consistent copy of a database into a new snapshot."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    ProbeAnswer,
    Refused,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.backup.manifests import all_manifests, file_chunks, store_manifest
from pilotage_plugins.backup.parameters import Compression, PlainPath, Tag
from pilotage_plugins.backup.progress import BackupListener
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.snapshots import OURS, SQLITE, attempt_tag, find, size_of
from pilotage_plugins.backup.sqlite_copy import copy_database, integrity_problems
from pilotage_plugins.tree.entry import Entry, hash_file
from pilotage_plugins.tree.manifest import ManifestTotals, write_entries


class Database(StepParams):
    """A database, as `discovery.data` finds it."""

    engine: str = Field(description="sqlite; other engines are refused by name")
    name: str = Field(min_length=1, max_length=4096)
    path: PlainPath
    bytes: int | None = Field(None, description="Its size when it was found; not used")


class BackupDatabaseParams(RepositoryParams):
    """Which database, and where to."""

    database: Database
    check: bool = Field(True, description="Let the engine check the copy before it is stored")
    tags: tuple[Tag, ...] = Field((), max_length=50)
    compression: Compression = Compression.AUTO


class BackupDatabaseOutputs(StepOutputs):
    """The snapshot: it holds the copy under the database's own path. `bytes_added` is None when a probe found it."""

    snapshot_id: str
    bytes_added: int | None
    bytes_processed: int | None
    sha256: str | None
    duration_s: float | None = None


class BackupDatabase(ResticStepType[BackupDatabaseParams, BackupDatabaseOutputs]):
    """Back up one SQLite database, consistently, while it is in use.

    The copy is made through SQLite itself, checked, and stored under the database's own path. It needs as much
    scratch space as the database is big. There is no undo: a rollback never destroys a backup.
    """

    name = "backup.database"
    effect = Effect.PROBE
    Params = BackupDatabaseParams
    Outputs = BackupDatabaseOutputs

    async def preview(self, ctx: StepContext, params: BackupDatabaseParams) -> Preview:
        """Name the database."""
        _check_engine(params.database.engine)
        there = Path(params.database.path).exists()
        note = f"snapshot in {masked(params.repository)}" if there else "is not there"
        return Preview(changes=(Change(action=Action.CREATE, subject=params.database.path, note=note),))

    async def run(self, ctx: StepContext, params: BackupDatabaseParams) -> BackupDatabaseOutputs:
        """Copy, check, store, and store the hash as a manifest."""
        _check_engine(params.database.engine)
        copy = ctx.scratch / "copy"
        source = Path(params.database.path)
        await asyncio.to_thread(_check_space, source, ctx.scratch)
        try:
            await asyncio.to_thread(copy_database, source, copy, _progress(ctx))
            if params.check:
                ctx.progress(None, "checking the copy")
                await _check_copy(ctx, source, copy)
            sha256 = await asyncio.to_thread(hash_file, bytes(copy), ctx.checkpoint)
            async with open_repository(ctx, params) as restic:
                return await self._store(ctx, restic, params, copy, sha256)
        finally:
            copy.unlink(missing_ok=True)

    async def probe(
        self, ctx: StepContext, params: BackupDatabaseParams, key: str
    ) -> ProbeAnswer[BackupDatabaseOutputs]:
        """Look for the attempt's snapshot and its manifest."""
        async with open_repository(ctx, params) as restic:
            found = await find(restic, tags=[OURS, attempt_tag(key)])
            size = size_of(found[-1], await all_manifests(restic, ctx.host)) if found else None
        if size is None or size.bytes is None:
            return ProbeAnswer.not_done("no finished snapshot carries the attempt's tag; another one is harmless")
        outputs = BackupDatabaseOutputs(
            snapshot_id=found[-1].id, bytes_added=None, bytes_processed=size.bytes, sha256=None
        )
        return ProbeAnswer.done(outputs, f"snapshot {found[-1].id} carries the attempt's tag")

    async def _store(
        self, ctx: StepContext, restic: Restic, params: BackupDatabaseParams, copy: Path, sha256: str
    ) -> BackupDatabaseOutputs:
        listener = BackupListener(ctx, time.time())
        tags = [OURS, attempt_tag(ctx.attempt_key), SQLITE, *params.tags]
        await restic.run(
            "backing up the database",
            *("backup", "--json", "--host", ctx.host, "--tag", ",".join(tags)),
            *("--compression", params.compression.value, "--stdin", "--stdin-filename", params.database.path),
            on_line=listener.stdout,
            on_error_line=listener.stderr,
            stdin=lambda: file_chunks(copy),
        )
        size = copy.stat().st_size
        if listener.count("total_bytes_processed") != size:
            raise StepFailed(f"restic stored {listener.count('total_bytes_processed')} bytes of {size}")
        snapshot = (await find(restic, tags=[OURS, attempt_tag(ctx.attempt_key)]))[-1]
        entry = Entry(path=params.database.path, type="file", size=size, sha256=sha256)
        totals = ManifestTotals()
        header: dict[str, Any] = {"snapshot": snapshot.id, "host": ctx.host, "roots": [params.database.path]}
        write_entries([entry], header, ctx.scratch / "manifest", totals)
        await store_manifest(ctx, restic, snapshot.id, ctx.scratch / "manifest", totals)
        return BackupDatabaseOutputs(
            snapshot_id=snapshot.id,
            bytes_added=listener.count("data_added"),
            bytes_processed=size,
            sha256=sha256,
            duration_s=round(float(listener.summary.get("total_duration", 0.0)), 3),
        )


def _check_engine(engine: str) -> None:
    if engine != "sqlite":
        raise Refused(f"backup.database cannot back up the engine {engine!r} yet; it knows sqlite")


def _check_space(source: Path, scratch: Path) -> None:
    try:
        needed = source.stat().st_size
    except OSError as error:
        raise TargetFailed(f"{str(source)!r} cannot be read: {error.strerror}") from error
    free = shutil.disk_usage(scratch).free
    if needed * 1.1 > free:
        raise TargetFailed(f"the copy of {str(source)!r} needs {needed} bytes, the scratch folder has {free} free")


def _progress(ctx: StepContext) -> Any:
    def report(done: int, total: int) -> None:
        ctx.checkpoint()
        ctx.progress(done / total if total else None, f"copied {done} of {total} pages")

    return report


async def _check_copy(ctx: StepContext, source: Path, copy: Path) -> None:
    problems = await asyncio.to_thread(integrity_problems, copy, quick=True, stop=ctx.cancel.is_set)
    if problems:
        raise StepFailed(
            f"{str(source)!r} is damaged, so it was not backed up: {'; '.join(problems[:5])}."
            " Restore it from an older backup, or set check: false to keep this state"
        )
