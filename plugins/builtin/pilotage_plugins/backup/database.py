"""`backup.database`: a consistent copy of a database into a new snapshot."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    ProbeAnswer,
    SecretRef,
    StepCancelled,
    StepContext,
    StepFailed,
    StepOutputs,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.backup import mysql, postgresql
from pilotage_plugins.backup.deletion import forget_attempt
from pilotage_plugins.backup.dump import Dump, DumpProgram
from pilotage_plugins.backup.manifests import file_chunks, store_manifest
from pilotage_plugins.backup.parameters import Compression, Tag
from pilotage_plugins.backup.progress import BackupListener
from pilotage_plugins.backup.protection import deletion_warning
from pilotage_plugins.backup.recipe import restore_database
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.server import Database, Engine
from pilotage_plugins.backup.signals import EitherSignal
from pilotage_plugins.backup.snapshots import DATABASE, OURS, attempt_tag, find, find_data, size_of
from pilotage_plugins.backup.space import check_room, free_bytes
from pilotage_plugins.backup.sqlite_copy import copy_database, integrity_problems
from pilotage_plugins.tree.entry import Entry, hash_file
from pilotage_plugins.tree.manifest import ManifestTotals, write_entries


class BackupDatabaseParams(RepositoryParams):
    """Which database, and where to."""

    database: Database
    credentials: SecretRef | None = Field(
        None, description="The database user's password; it reaches the dump program through memory only"
    )
    check: bool = Field(True, description="SQLite: let the engine check the copy before it is stored")
    tags: tuple[Tag, ...] = Field((), max_length=50)
    compression: Compression = Compression.AUTO
    space_check: bool = Field(
        True,
        description="Before the first backup of it: refuse when it would not fit on the repository's disk (a folder of"
        " this host), as far as its size is known",
    )
    protected: bool = Field(
        False, description="You vouch that these credentials cannot delete backups: no warning about it"
    )


class BackupDatabaseOutputs(StepOutputs):
    """The snapshot and the path of the copy in it. `bytes_added` and `sha256` are None when a probe found it.
    `restore_with`: the commands that bring it back without Pilotage; secrets are in it by name."""

    snapshot_id: str
    path: str
    bytes_added: int | None
    bytes_processed: int | None
    sha256: str | None
    duration_s: float | None = None
    warnings: tuple[str, ...] = ()
    restore_with: str = ""


class BackupDatabase(ResticStepType[BackupDatabaseParams, BackupDatabaseOutputs]):
    """Back up one database, consistently, while it is in use: SQLite, PostgreSQL, MySQL or MariaDB.

    A SQLite database is copied through SQLite itself, checked, and stored under its own path; that needs as much
    scratch space as the database is big. The others are dumped by their own programs straight into restic. A dump
    that fails on its way never leaves a snapshot that could be taken for a whole one. There is no undo: a rollback
    never destroys a backup.
    """

    name = "backup.database"
    effect = Effect.PROBE
    Params = BackupDatabaseParams
    Outputs = BackupDatabaseOutputs

    async def preview(self, ctx: StepContext, params: BackupDatabaseParams) -> Preview:
        """Name the database, and the danger to the backups; servers are not asked."""
        database = params.database
        there = not database.path or Path(database.path).exists()
        note = f"snapshot in {masked(params.repository)}" if there else f"{database.path} is not there"
        warning = deletion_warning(params, params.protected)
        return Preview(
            changes=(Change(action=Action.CREATE, subject=snapshot_path(database), note=note[:4096]),),
            note=f"Warning: {warning}" if warning else "",
        )

    async def run(self, ctx: StepContext, params: BackupDatabaseParams) -> BackupDatabaseOutputs:
        """Copy and check, or dump; store; and store the hash as a manifest, which says that it is complete."""
        if params.database.engine is Engine.SQLITE:
            return await _back_up_sqlite(ctx, params)
        async with _dump_program(ctx, params) as program, open_repository(ctx, params) as restic:
            await _check_room(ctx, restic, params, params.database.bytes)
            unsafe = await _unsafe_tables(ctx, params, program)
            dump = Dump(ctx, program)
            signal = EitherSignal(ctx.cancel, dump.failed)
            try:
                listener = await _stream(restic.stopped_by(signal), ctx, params, dump.stream)
            except StepCancelled:
                if dump.failure is None or ctx.cancel.is_set():
                    raise
            finally:
                await dump.stop()
            if dump.failure is not None:
                await forget_attempt(restic, ctx.attempt_key)
                raise dump.failure
            warnings = [f"tables that a transaction does not protect: {unsafe}"] if unsafe else []
            return await _finish(ctx, restic, params, listener, (dump.bytes, dump.sha256), warnings)

    async def probe(
        self, ctx: StepContext, params: BackupDatabaseParams, key: str
    ) -> ProbeAnswer[BackupDatabaseOutputs]:
        """Look for the attempt's snapshot and its manifest, without which nobody knows whether it is cut off."""
        async with open_repository(ctx, params, looking=True) as restic:
            data, notes = await find_data(restic, ctx.host)
        found = [snapshot for snapshot in data if attempt_tag(key) in snapshot.tags]
        size = size_of(found[-1], notes) if found else None
        if size is None or size.bytes is None:
            return ProbeAnswer.not_done("no finished snapshot carries the attempt's tag; another one is harmless")
        warning = deletion_warning(params, params.protected)
        outputs = BackupDatabaseOutputs(
            snapshot_id=found[-1].id,
            path=snapshot_path(params.database),
            bytes_added=None,
            bytes_processed=size.bytes,
            sha256=None,
            warnings=(warning,) if warning else (),
            restore_with=restore_database(params, found[-1].id, params.database, snapshot_path(params.database)),
        )
        return ProbeAnswer.done(outputs, f"snapshot {found[-1].id} carries the attempt's tag")


def snapshot_path(database: Database) -> str:
    """Return the path under which a database's copy lies in its snapshot."""
    if database.engine is Engine.POSTGRESQL:
        return postgresql.snapshot_path(database)
    if database.engine is Engine.SQLITE:
        return str(database.path)
    return mysql.snapshot_path(database)


async def _back_up_sqlite(ctx: StepContext, params: BackupDatabaseParams) -> BackupDatabaseOutputs:
    copy, source = ctx.scratch / "copy", Path(str(params.database.path))
    await asyncio.to_thread(_check_space, source, ctx.scratch)
    try:
        await asyncio.to_thread(copy_database, source, copy, _progress(ctx))
        if params.check:
            ctx.progress(None, "checking the copy")
            await _check_copy(ctx, source, copy)
        stored = (copy.stat().st_size, await asyncio.to_thread(hash_file, bytes(copy), ctx.checkpoint))
        async with open_repository(ctx, params) as restic:
            await _check_room(ctx, restic, params, stored[0])
            listener = await _stream(restic, ctx, params, lambda: file_chunks(copy))
            return await _finish(ctx, restic, params, listener, stored, [])
    finally:
        copy.unlink(missing_ok=True)


async def _check_room(ctx: StepContext, restic: Restic, params: BackupDatabaseParams, size: int | None) -> None:
    """Refuse the first backup of a database that would not fit; of a later one nobody knows how much is new."""
    free = free_bytes(params) if params.space_check and size else None
    if free is None or size is None or size <= free:
        return
    earlier = await find(restic, tags=[OURS], host=ctx.host)
    if not any(snapshot.paths == (snapshot_path(params.database),) for snapshot in earlier):
        check_room(params, size, free)


@asynccontextmanager
async def _dump_program(ctx: StepContext, params: BackupDatabaseParams) -> AsyncIterator[DumpProgram]:
    database = params.database
    if database.engine is Engine.POSTGRESQL:
        async with postgresql.login(ctx, database, params.credentials) as login:
            yield DumpProgram(postgresql.DUMP, login, lambda *said: postgresql.explain(database, *said))
        return
    async with mysql.login(ctx, database, params.credentials) as login:
        argv = [login.dumper, *login.arguments, *mysql.DUMP_OPTIONS, "--", database.name]
        yield DumpProgram(argv, login, lambda *said: mysql.explain(database, *said), mysql.END_MARK)


async def _unsafe_tables(ctx: StepContext, params: BackupDatabaseParams, program: DumpProgram) -> str:
    """Return the names of a MySQL database's tables that are not InnoDB's; empty for other engines."""
    if params.database.engine is Engine.POSTGRESQL:
        return ""
    login = program.login
    client = [login.client, *login.arguments, "--batch", "--skip-column-names"]
    asked = await ctx.program(
        [*login.prefix, *client, f"--execute={mysql.UNSAFE_TABLES}", "--", params.database.name],
        env=login.env, pass_fds=login.fds, on_stdout=lambda _line: None,
    )  # fmt: skip
    if asked.exit_code:
        raise mysql.explain(params.database, asked.stderr.decode("utf-8", "replace").strip()[-1500:], asked.ending)
    return ", ".join(asked.stdout.decode("utf-8", "replace").split("\n")).strip(", ")


async def _stream(
    restic: Restic, ctx: StepContext, params: BackupDatabaseParams, stream: Callable[[], AsyncIterable[bytes]]
) -> BackupListener:
    listener = BackupListener(ctx, time.time(), quiet=True)
    database = params.database
    tags = [OURS, attempt_tag(ctx.attempt_key), f"{DATABASE}{database.engine.value}", *params.tags]
    await restic.run(
        "backing up the database",
        *("backup", "--json", "--host", ctx.host, "--tag", ",".join(tags)),
        *("--compression", params.compression.value, "--stdin", "--stdin-filename", snapshot_path(database)),
        on_line=listener.stdout,
        on_error_line=listener.stderr,
        stdin=stream,
    )
    return listener


async def _finish(
    ctx: StepContext,
    restic: Restic,
    params: BackupDatabaseParams,
    listener: BackupListener,
    stored: tuple[int, str],
    warnings: list[str],
) -> BackupDatabaseOutputs:
    """Check that restic took all of it, and say so by a manifest."""
    size, sha256 = stored
    if listener.count("total_bytes_processed") != size:
        await forget_attempt(restic, ctx.attempt_key)
        raise StepFailed(f"restic stored {listener.count('total_bytes_processed')} bytes of {size}")
    snapshot = (await find(restic, tags=[OURS, attempt_tag(ctx.attempt_key)]))[-1]
    path = snapshot_path(params.database)
    header: dict[str, Any] = {"snapshot": snapshot.id, "host": ctx.host, "roots": [path]}
    totals = ManifestTotals()
    write_entries([Entry(path=path, type="file", size=size, sha256=sha256)], header, ctx.scratch / "manifest", totals)
    await store_manifest(ctx, restic, snapshot.id, ctx.scratch / "manifest", totals)
    if warning := deletion_warning(params, params.protected):
        warnings.append(warning)
    return BackupDatabaseOutputs(
        snapshot_id=snapshot.id,
        path=path,
        bytes_added=listener.count("data_added"),
        bytes_processed=size,
        sha256=sha256,
        duration_s=round(float(listener.summary.get("total_duration", 0.0)), 3),
        warnings=tuple(warnings),
        restore_with=restore_database(params, snapshot.id, params.database, path),
    )


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
