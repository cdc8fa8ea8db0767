"""`backup.restore`: a snapshot, or a part of it, back onto disks."""

import asyncio
import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

from pilotage_plugin_api import Action, Change, Effect, Preview, StepContext, StepOutputs, TargetFailed
from pydantic import AfterValidator, Field

from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.snapshots import SQLITE, Snapshot, check_snapshot_id, find_one
from pilotage_plugins.backup.sqlite_copy import companions
from pilotage_plugins.tree.exclusion import literal_pattern

OCCUPIED_NAMED = 5


class BackupRestoreParams(RepositoryParams):
    """What, from when, and where to. A path /a of the snapshot comes to TARGET/a; target / is its own place."""

    snapshot: Annotated[str, AfterValidator(check_snapshot_id)] = Field("latest", description="An id, or latest")
    host: str | None = Field(None, min_length=1, description="Whose `latest` (this host's)")
    target: PlainPath
    include: tuple[PlainPath, ...] = Field((), max_length=100, description="Only these paths and what is below them")
    overwrite: bool = Field(False, description="Replace files that are there; without it one such file stops all")
    verify: bool = Field(True, description="Read everything back afterwards")


class BackupRestoreOutputs(StepOutputs):
    """Which snapshot came back, and how long it took."""

    snapshot_id: str
    paths: tuple[str, ...]
    duration_s: float


class BackupRestore(ResticStepType[BackupRestoreParams, BackupRestoreOutputs]):
    """Restore a snapshot, never over files that are there unless `overwrite: true`.

    Files at the target that the snapshot does not hold stay. Effect once: without `overwrite` an interrupted restore
    leaves files that a second one would refuse to replace, and with it, a second one could replace what people
    wrote in between. There is no undo: what was overwritten is gone; back up first.
    """

    name = "backup.restore"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.IDEMPOTENT})
    Params = BackupRestoreParams
    Outputs = BackupRestoreOutputs
    destructive = True

    async def preview(self, ctx: StepContext, params: BackupRestoreParams) -> Preview:
        """Name the snapshot and the files in the way."""
        async with open_repository(ctx, params) as restic:
            snapshot = await find_one(restic, params.snapshot, params.host or ctx.host)
            occupied = await _occupied(ctx, restic, snapshot, params)
        action = Action.UPDATE if occupied else Action.CREATE
        note = f"from snapshot {snapshot.id}" + (f"; already there: {', '.join(occupied)}" if occupied else "")
        changes = [Change(action=action, subject=params.target + path, note=note[:4096]) for path in snapshot.paths]
        return Preview(changes=tuple(changes))

    async def run(self, ctx: StepContext, params: BackupRestoreParams) -> BackupRestoreOutputs:
        """Look for files in the way, then restore and verify."""
        started = time.monotonic()
        async with open_repository(ctx, params) as restic:
            snapshot = await find_one(restic, params.snapshot, params.host or ctx.host)
            if not params.overwrite and (occupied := await _occupied(ctx, restic, snapshot, params)):
                raise TargetFailed(
                    f"{params.target!r} already holds files of the snapshot: {', '.join(map(repr, occupied))}."
                    " Restore elsewhere, or set overwrite: true"
                )
            if SQLITE in snapshot.tags:
                _refuse_leftovers(params.target, snapshot)
            if params.overwrite:
                await _clear_the_way(ctx, restic, snapshot, params)
            await restore_snapshot(restic, snapshot, params.target, params.include, verify=params.verify)
        return BackupRestoreOutputs(
            snapshot_id=snapshot.id, paths=snapshot.paths, duration_s=round(time.monotonic() - started, 3)
        )


async def restore_snapshot(
    restic: Restic, snapshot: Snapshot, target: str, include: tuple[str, ...], *, verify: bool
) -> None:
    """Let restic restore a snapshot; with `verify` it reads back what it wrote."""
    arguments: list[str | bytes] = ["restore", snapshot.id, "--target", target]
    arguments += ["--verify"] if verify else []
    arguments += [b"--include=" + literal_pattern(os.fsencode(path)) for path in include]
    await restic.run("restoring", *arguments)


async def _listing(ctx: StepContext, restic: Restic, snapshot: Snapshot, params: BackupRestoreParams) -> Path | None:
    """Return a file with restic's list of the snapshot; None when nothing is at the target that could be in the way."""
    target = Path(params.target)
    if not await asyncio.to_thread(lambda: target.exists() and any(target.iterdir())):
        return None
    return await restic.json_file("listing the snapshot", "ls", snapshot.id, name="listing.ndjson")


async def _occupied(ctx: StepContext, restic: Restic, snapshot: Snapshot, params: BackupRestoreParams) -> list[str]:
    """Return the first few paths that are there already and would be replaced; folders may be there.

    restic spells undecodable bytes as U+FFFD: such a name is looked up by its folder, any entry there counting.
    """
    listing = await _listing(ctx, restic, snapshot, params)
    if listing is None:
        return []

    def look() -> list[str]:
        found = (
            path
            for path, _type in _nodes(ctx, listing, params)
            if os.path.lexists(path) or ("\ufffd" in path and _any_beside(path))
        )
        return list(islice(found, OCCUPIED_NAMED))

    return await asyncio.to_thread(look)


async def _clear_the_way(ctx: StepContext, restic: Restic, snapshot: Snapshot, params: BackupRestoreParams) -> None:
    """Remove links, pipes and the like where the snapshot has something: restic stops at them, and would write a file
    through a link, symbolic or hard, that stands in its place, into what others know under another name."""
    listing = await _listing(ctx, restic, snapshot, params)
    if listing is None:
        return

    def clear() -> None:
        shared: set[tuple[int, int]] = set()  # the last name of a shared file looks like its only one
        for path, kind in _nodes(ctx, listing, params):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                there = Path(path)
                status = there.lstat()
                if status.st_nlink > 1:
                    shared.add((status.st_dev, status.st_ino))
                own_file = stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in shared
                if not stat.S_ISDIR(status.st_mode) and not (kind == "file" and own_file):
                    there.unlink()

    await asyncio.to_thread(clear)


def _nodes(ctx: StepContext, listing: Path, params: BackupRestoreParams) -> Iterator[tuple[str, str]]:
    """Yield where each wanted entry would come to, and its type; folders are left out."""
    with listing.open("rb") as lines:
        for number, line in enumerate(lines):
            if number % 256 == 0:
                ctx.checkpoint()
            node = json.loads(line)
            if node.get("struct_type") == "node" and node.get("type") != "dir" and _wanted(node["path"], params):
                yield params.target.rstrip("/") + node["path"], node["type"]


def _wanted(path: str, params: BackupRestoreParams) -> bool:
    return not params.include or any(path == root or path.startswith(root + "/") for root in params.include)


def _any_beside(path: str) -> bool:
    folder = Path(path).parent
    return folder.is_dir() and any(folder.iterdir())


def _refuse_leftovers(target: str, snapshot: Snapshot) -> None:
    """Refuse to put a database beside the journal of another one: SQLite would play it into the restored file."""
    for path in snapshot.paths:
        for companion in companions(target.rstrip("/") + path):
            if Path(companion).exists():
                raise TargetFailed(
                    f"{companion!r} belongs to the database that is there now and would damage the restored one:"
                    " stop what uses the database and move that file away"
                )
