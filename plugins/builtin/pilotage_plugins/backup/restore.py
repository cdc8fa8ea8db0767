"""`backup.restore`: a snapshot, or a part of it, back onto disks."""

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, Final

from pilotage_plugin_api import Action, Change, Effect, Preview, Refused, StepContext, StepOutputs, TargetFailed
from pydantic import AfterValidator, Field

from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.progress import RestoreListener
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.snapshots import SQLITE, Snapshot, check_snapshot_id, find_one
from pilotage_plugins.backup.sqlite_copy import companions
from pilotage_plugins.backup.target import (
    TargetWas,
    clear_the_way,
    look_at_target,
    occupied,
    remove_if_empty,
    take_away,
)
from pilotage_plugins.tree.exclusion import literal_pattern

TELLS_RESTORE: Final = (0, 16)
"""The first restic that reports as JSON how far a restore is."""


class BackupRestoreParams(RepositoryParams):
    """What, from when, and where to. A path /a of the snapshot comes to TARGET/a; target / is its own place."""

    snapshot: Annotated[str, AfterValidator(check_snapshot_id)] = Field("latest", description="An id, or latest")
    host: str | None = Field(None, min_length=1, description="Whose `latest` (this host's)")
    target: PlainPath
    include: tuple[PlainPath, ...] = Field((), max_length=100, description="Only these paths and what is below them")
    overwrite: bool = Field(False, description="Replace files that are there; without it one such file stops all")
    verify: bool = Field(True, description="Read everything back afterwards")


class BackupRestoreOutputs(StepOutputs):
    """Which snapshot came back, and how long it took. `target_was`: what was there before: nothing, an empty folder,
    or more; an undo takes the restored files away again unless it was more."""

    snapshot_id: str
    paths: tuple[str, ...]
    duration_s: float
    target_was: TargetWas = TargetWas.OCCUPIED


class BackupRestore(ResticStepType[BackupRestoreParams, BackupRestoreOutputs]):
    """Restore a snapshot, never over files that are there unless `overwrite: true`.

    Files at the target that the snapshot does not hold stay. Effect once: without `overwrite` an interrupted restore
    leaves files that a second one would refuse to replace, and with it, a second one could replace what people
    wrote in between. Undo takes away what came into a folder that was empty or not there, and leaves what was changed
    since; into a folder that held something, nothing is undone: what was overwritten is gone; back up first.
    """

    name = "backup.restore"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.IDEMPOTENT})
    Params = BackupRestoreParams
    Outputs = BackupRestoreOutputs
    destructive = True

    async def preview(self, ctx: StepContext, params: BackupRestoreParams) -> Preview:
        """Name the snapshot and the files in the way."""
        async with open_repository(ctx, params, looking=True) as restic:
            snapshot = await find_one(restic, params.snapshot, params.host or ctx.host)
            in_the_way = await occupied(ctx, restic, snapshot, params.target, params.include)
        action = Action.UPDATE if in_the_way else Action.CREATE
        note = f"from snapshot {snapshot.id}" + (f"; already there: {', '.join(in_the_way)}" if in_the_way else "")
        changes = [Change(action=action, subject=params.target + path, note=note[:4096]) for path in snapshot.paths]
        return Preview(changes=tuple(changes))

    async def run(self, ctx: StepContext, params: BackupRestoreParams) -> BackupRestoreOutputs:
        """Look for files in the way, then restore and verify."""
        started = time.monotonic()
        async with open_repository(ctx, params) as restic:
            snapshot = await find_one(restic, params.snapshot, params.host or ctx.host)
            if not params.overwrite and (
                in_the_way := await occupied(ctx, restic, snapshot, params.target, params.include)
            ):
                raise TargetFailed(
                    f"{params.target!r} already holds files of the snapshot: {', '.join(map(repr, in_the_way))}."
                    " Restore elsewhere, or set overwrite: true"
                )
            target_was = await asyncio.to_thread(look_at_target, params.target)
            if SQLITE in snapshot.tags:
                _refuse_leftovers(params.target, snapshot)
            if params.overwrite:
                await clear_the_way(ctx, restic, snapshot, params.target, params.include)
            listener = RestoreListener(ctx)
            await restore_snapshot(restic, snapshot, params.target, params.include, listener, verify=params.verify)
        return BackupRestoreOutputs(
            snapshot_id=snapshot.id,
            paths=snapshot.paths,
            duration_s=round(time.monotonic() - started, 3),
            target_was=target_was,
        )

    async def undo(self, ctx: StepContext, params: BackupRestoreParams, outputs: BackupRestoreOutputs) -> None:
        """Take away what was restored into a folder that held nothing; what people changed or added stays."""
        if outputs.target_was is TargetWas.OCCUPIED:
            raise Refused(
                f"backup.restore cannot be undone: {params.target!r} held other things before. Restore it from a backup"
                " that was made before, or remove what came from the snapshot by hand"
            )
        async with open_repository(ctx, params) as restic:
            snapshot = await find_one(restic, outputs.snapshot_id, ctx.host)
            left = await take_away(ctx, restic, snapshot, params.target, params.include)
        if outputs.target_was is TargetWas.MISSING:
            await asyncio.to_thread(remove_if_empty, params.target)
        ctx.log(f"taken away again; {left} files that were changed since stay")


async def restore_snapshot(
    restic: Restic,
    snapshot: Snapshot,
    target: str,
    include: tuple[str, ...],
    listener: RestoreListener,
    *,
    verify: bool,
) -> None:
    """Let restic restore a snapshot; with `verify` it reads back what it wrote."""
    listener.tells = await restic.version() >= TELLS_RESTORE
    listener.start(f"snapshot {snapshot.id[:8]}")
    arguments: list[str | bytes] = ["restore", snapshot.id, "--target", target]
    arguments += ["--json"] if listener.tells else []
    arguments += ["--verify"] if verify else []
    arguments += [b"--include=" + literal_pattern(os.fsencode(path)) for path in include]
    await restic.run("restoring", *arguments, on_line=listener.line)


def _refuse_leftovers(target: str, snapshot: Snapshot) -> None:
    """Refuse to put a database beside the journal of another one: SQLite would play it into the restored file."""
    for path in snapshot.paths:
        for companion in companions(target.rstrip("/") + path):
            if Path(companion).exists():
                raise TargetFailed(
                    f"{companion!r} belongs to the database that is there now and would damage the restored one:"
                    " stop what uses the database and move that file away"
                )
