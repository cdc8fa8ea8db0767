"""`restore.drill`: prove that backups restore, by restoring them."""

import asyncio
import os
import shutil
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pilotage_plugin_api import DeadlineExceeded, Effect, StepContext, StepError, StepFailed, TargetFailed
from pydantic import Field

from pilotage_plugins.backup.listing import newest_of_each_group
from pilotage_plugins.backup.manifests import fetch_manifest
from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.progress import RestoreListener
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.restore import restore_snapshot
from pilotage_plugins.backup.snapshots import Snapshot, check_snapshot_id, find_data, find_one, is_whole
from pilotage_plugins.backup.space import check_restore_room
from pilotage_plugins.backup.trial import Tried, put_to_the_test
from pilotage_plugins.backup.verdict import DrilledSnapshot, RestoreDrillOutputs, Trial, problems_of, verdict
from pilotage_plugins.tree.comparison import Comparison, compare
from pilotage_plugins.tree.entry import hash_file
from pilotage_plugins.tree.manifest import read_manifest
from pilotage_plugins.tree.walk import path_key

MOST_SNAPSHOTS = 100
RESTORE_SHARE = 0.8
"""What a snapshot's restore is of its part in the progress; comparing is the rest."""


class Compare(StrEnum):
    """How a restored tree is proved."""

    FULL = "full"
    RESTIC = "restic"


class RestoreDrillParams(RepositoryParams):
    """Which snapshots to try, and how hard to look."""

    snapshots: str | tuple[str, ...] = Field(
        "latest", description="latest: the newest of every set of paths of the host; or a list of ids"
    )
    host: str | None = Field(None, min_length=1, description="Whose (this host's)")
    compare: Compare = Field(
        Compare.FULL,
        description="full: everything against the manifest made at backup time; restic: restic's own verification",
    )
    scratch: PlainPath | None = Field(
        None, description="A folder with room for the biggest snapshot (the attempt's own scratch folder)"
    )
    query: str | None = Field(
        None, min_length=1, max_length=4096, description="SQL that each restored database is asked; the answer is kept"
    )


class RestoreDrill(ResticStepType[RestoreDrillParams, RestoreDrillOutputs]):
    """Restore a host's newest snapshots into a scratch folder and compare every byte with what was backed up.

    Compared are content, type, mode, owner, times, link targets, hard links and extended attributes, against the
    manifest that `backup.create` stored; databases are also tried: SQLite checks its file, a dump of PostgreSQL,
    MySQL or MariaDB is loaded into a scratch server, and each answers `query`. Any difference fails the step and is
    named; the other snapshots are drilled all the same, and what was measured is kept with the failure. What the drill
    restored is removed again.
    """

    name = "restore.drill"
    effect = Effect.READ
    Params = RestoreDrillParams
    Outputs = RestoreDrillOutputs

    async def run(self, ctx: StepContext, params: RestoreDrillParams) -> RestoreDrillOutputs:
        """Drill each snapshot in turn, so that the scratch folder holds one at a time."""
        began = datetime.now(UTC)
        drilled: list[DrilledSnapshot] = []
        async with open_repository(ctx, params) as restic:
            data, manifests = await find_data(restic, None)
            chosen = await _choose(ctx, params, restic, data, manifests)
            for number, snapshot in enumerate(chosen):
                listener = RestoreListener(ctx, number / len(chosen), (number + RESTORE_SHARE) / len(chosen))
                try:
                    drilled.append(await _drill(ctx, restic, params, snapshot, manifests, listener))
                except StepError as failure:
                    failure.outputs = verdict(drilled, began, chosen, complete=False)
                    raise
        outputs = verdict(drilled, began, chosen)
        if not outputs.identical:
            raise StepFailed(problems_of(drilled), outputs=outputs)
        return outputs


async def _choose(
    ctx: StepContext, params: RestoreDrillParams, restic: Restic, data: list[Snapshot], notes: list[Snapshot]
) -> list[Snapshot]:
    host = params.host or ctx.host
    if params.snapshots == "latest":
        chosen = newest_of_each_group([one for one in data if one.host == host and is_whole(one, notes)])
    else:
        chosen = [await find_one(restic, check_snapshot_id(wanted), host) for wanted in params.snapshots]
    if not chosen:
        raise StepFailed(f"there is no whole snapshot of {host} to drill: run backup.create first")
    if len(chosen) > MOST_SNAPSHOTS:
        raise StepFailed(f"{len(chosen)} sets of paths are too many for one drill: name at most {MOST_SNAPSHOTS} ids")
    return chosen


async def _drill(
    ctx: StepContext,
    restic: Restic,
    params: RestoreDrillParams,
    snapshot: Snapshot,
    manifests: list[Snapshot],
    listener: RestoreListener,
) -> DrilledSnapshot:
    """Restore one snapshot and look at it; what is wrong with it is part of the evidence, and no error."""
    area = Path(params.scratch or ctx.scratch) / f"drill-{snapshot.id[:16]}"
    trial = Trial(snapshot)
    try:
        await asyncio.to_thread(_make_area, area)
        await _prove(ctx, restic, params, trial, manifests, area, listener)
    except DeadlineExceeded:
        raise
    except StepFailed as failure:
        trial.problem = str(failure)
    finally:
        await asyncio.to_thread(shutil.rmtree, area, ignore_errors=True)
    return trial.evidence()


def _make_area(area: Path) -> None:
    try:
        if area.exists():
            shutil.rmtree(area)
        area.mkdir(mode=0o700)
    except OSError as error:
        raise TargetFailed(f"cannot make {str(area)!r}: {error.strerror}") from error


async def _prove(
    ctx: StepContext,
    restic: Restic,
    params: RestoreDrillParams,
    trial: Trial,
    manifests: list[Snapshot],
    area: Path,
    listener: RestoreListener,
) -> None:
    """Restore, compare and try; raises StepFailed for what is wrong with the snapshot."""
    snapshot, restored, manifest = trial.snapshot, area / "restored", area / "manifest"
    await check_restore_room(restic, snapshot, area, "give `scratch` a folder on a bigger disk")
    restored.mkdir()
    started = time.monotonic()
    await restore_snapshot(restic, snapshot, str(restored), (), listener, verify=params.compare is Compare.RESTIC)
    trial.restore_s = time.monotonic() - started
    ctx.progress(listener.end, f"comparing snapshot {snapshot.id[:8]}")
    if params.compare is Compare.FULL:
        if not await fetch_manifest(restic, snapshot, manifests, manifest):
            raise StepFailed(
                f"snapshot {snapshot.id} has no manifest to compare with: back up with manifest: true,"
                " or drill with compare: restic"
            )
        trial.comparison = await asyncio.to_thread(_compare, ctx, snapshot, restored, manifest)
        trial.owners_compared = snapshot.engine is None and os.geteuid() == 0
    trial.compare_s = time.monotonic() - started - trial.restore_s
    trial.judge()
    trial.tried = await _try(ctx, params, snapshot, restored)


def _compare(ctx: StepContext, snapshot: Snapshot, restored: Path, manifest: Path) -> Comparison:
    if snapshot.engine is not None:
        return _compare_database(ctx, restored, manifest)
    roots = sorted(map(os.fsencode, snapshot.paths), key=path_key)
    return compare(read_manifest(manifest), roots, bytes(restored), os.geteuid() == 0, ctx.checkpoint)


def _compare_database(ctx: StepContext, restored: Path, manifest: Path) -> Comparison:
    """Compare content only: a database is streamed into its snapshot, so the file's other qualities are restic's."""
    result = Comparison()
    for entry in read_manifest(manifest):
        copy = bytes(restored) + os.fsencode(entry.path)
        if hash_file(copy, ctx.checkpoint) != entry.sha256:
            result.differ(entry.path, "differs from the copy that was backed up")
            continue
        result.identical += 1
        result.files_identical += 1
        result.bytes_identical += entry.size
    return result


async def _try(ctx: StepContext, params: RestoreDrillParams, snapshot: Snapshot, restored: Path) -> Tried | None:
    if snapshot.engine is None:
        return None
    scratch = Path(params.scratch) if params.scratch else None
    copy = Path(f"{restored}{snapshot.paths[0]}")
    return await put_to_the_test(ctx, snapshot.engine, copy, snapshot.id, scratch, params.query)
