"""`backup.create`: files and folders into a new snapshot."""

import asyncio
import os

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    ProbeAnswer,
    StepContext,
    StepFailed,
    StepOutputs,
)
from pydantic import Field

from pilotage_plugins.backup.hooks import Hooks, around, run_owed
from pilotage_plugins.backup.manifests import note_partial
from pilotage_plugins.backup.parameters import Compression, PlainPath, Tag
from pilotage_plugins.backup.protection import deletion_warning
from pilotage_plugins.backup.quiesce import AtRest, Quiesce, at_rest, wake_interrupted
from pilotage_plugins.backup.recipe import restore_files
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.saving import Saving, describe_saved, save
from pilotage_plugins.backup.snapshots import OURS, attempt_tag, find, find_data, is_partial, size_of
from pilotage_plugins.backup.source import Source, fit_paths, read_exclude_file, unfit
from pilotage_plugins.backup.space import check_room, free_bytes
from pilotage_plugins.tree.exclusion import Exclusion
from pilotage_plugins.tree.manifest import SETTLE_SECONDS, bytes_changed_since


class BackupCreateParams(RepositoryParams):
    """What to back up, and where to."""

    paths: tuple[PlainPath, ...] = Field(min_length=1, max_length=100, description="Files or folders, absolute")
    exclude: tuple[str, ...] = Field(
        (),
        max_length=2000,
        description="Left out: a name pattern (*.tmp), or with a slash a pattern of the whole path (/srv/**/cache)",
    )
    exclude_files: tuple[PlainPath, ...] = Field(
        (), max_length=20, description="Files on the host with more such patterns, one a line; # begins a comment"
    )
    one_file_system: bool = Field(False, description="Do not cross into other mounted file systems")
    tags: tuple[Tag, ...] = Field((), max_length=50)
    compression: Compression = Compression.AUTO
    quiesce: Quiesce | None = Field(None, description="Containers to pause or stop while the data is read")
    hooks: Hooks = Field(Hooks(), description="Programs to run before and after the data is read")
    space_check: bool = Field(
        True, description="Refuse when what is new would not fit on the repository's disk (a folder of this host)"
    )
    protected: bool = Field(
        False, description="You vouch that these credentials cannot delete backups: no warning about it"
    )
    manifest: bool = Field(
        True, description="Read everything once more and store what was there, so that a drill can prove a restore"
    )


class BackupCreateOutputs(StepOutputs):
    """The snapshot and its size. `bytes_added`: what the repository grew by; None when a probe found the snapshot.
    `restore_with`: the command of plain restic that brings it back; secrets are in it by name. `rested`: the containers
    that were at rest while the data was read, for `rested_s` seconds."""

    snapshot_id: str
    bytes_added: int | None
    bytes_processed: int | None
    files_new: int | None
    files_processed: int | None
    files_vanished: int = 0
    files_volatile: int | None = None
    duration_s: float | None = None
    warnings: tuple[str, ...] = ()
    restore_with: str = ""
    rested: tuple[str, ...] = ()
    rested_s: float | None = None


class BackupCreate(ResticStepType[BackupCreateParams, BackupCreateOutputs]):
    """Back up files and folders into a new snapshot of a restic repository.

    Files that vanish while they are read are counted; a file that cannot be read fails the step, which names it, and
    the snapshot without it stays, marked as partial, never taken for the `latest`. With `manifest` everything is read
    a second time, and what was there is stored beside the data for `restore.drill`. Containers in `quiesce` rest while
    the data is read; they and what hooks have stopped come back also when the attempt is cut off. There is no undo: a
    rollback never destroys a backup.
    """

    name = "backup.create"
    effect = Effect.PROBE
    Params = BackupCreateParams
    Outputs = BackupCreateOutputs

    async def preview(self, ctx: StepContext, params: BackupCreateParams) -> Preview:
        """Name the paths and those that are not there, the hooks, and the danger to the backups."""
        changes = [Change(action=Action.RUN, subject=" ".join(hook.argv)[:4096]) for hook in params.hooks.before]
        if params.quiesce:
            rest = f"{params.quiesce.how}, for at most {params.quiesce.max}"
            changes += [Change(action=Action.RUN, subject=name, note=rest) for name in params.quiesce.containers]
        problems = {path: unfit(path) for path in params.paths}
        changes += [
            Change(action=Action.CREATE, subject=path, note=f"snapshot in {masked(params.repository)}")
            for path in params.paths
            if not problems[path]
        ]
        changes += [Change(action=Action.RUN, subject=" ".join(hook.argv)[:4096]) for hook in params.hooks.after]
        warning = deletion_warning(params, params.protected)
        told = [f"it will fail: {path}: {problem}" for path, problem in problems.items() if problem]
        told += [f"Warning: {warning}"] if warning else []
        return Preview(changes=tuple(changes), note="; ".join(told))

    async def run(self, ctx: StepContext, params: BackupCreateParams) -> BackupCreateOutputs:
        """Bring to rest, survey, back up, wake; then describe, and store the manifest."""
        source = await asyncio.to_thread(_source, ctx, params)
        async with open_repository(ctx, params) as restic:
            rest = AtRest()
            try:
                async with around(ctx, params.hooks) as hooks, at_rest(ctx, params.quiesce) as rest:
                    await _survey(ctx, restic, params, source)
                    listener = await save(ctx, restic, source, _how(ctx, params))
            except StepFailed:
                if rest.expired:
                    await _call_partial(ctx, restic)
                raise
            snapshot = (await find(restic, tags=[OURS, attempt_tag(ctx.attempt_key)]))[-1]
            if listener.failed:
                await note_partial(ctx, restic, snapshot.id, listener.errors)
                raise StepFailed(
                    f"snapshot {snapshot.id} lacks {listener.failed} files that could not be read: "
                    + "; ".join(listener.errors)
                    + ". Let the agent read them, or exclude them; the rest is in the snapshot, which is marked partial"
                )
            totals = await describe_saved(ctx, restic, source, snapshot.id) if params.manifest else None
        hooks.check(f"snapshot {snapshot.id} was made")
        warning = deletion_warning(params, params.protected)
        return BackupCreateOutputs(
            snapshot_id=snapshot.id,
            bytes_added=listener.count("data_added"),
            bytes_processed=listener.count("total_bytes_processed"),
            files_new=listener.count("files_new"),
            files_processed=listener.count("total_files_processed"),
            files_vanished=listener.vanished,
            files_volatile=totals.volatile if totals else None,
            duration_s=round(float(listener.summary.get("total_duration", 0.0)), 3),
            warnings=(warning,) if warning else (),
            restore_with=restore_files(params, snapshot.id),
            rested=rest.containers,
            rested_s=rest.seconds if rest.containers else None,
        )

    async def probe(self, ctx: StepContext, params: BackupCreateParams, key: str) -> ProbeAnswer[BackupCreateOutputs]:
        """Look for the attempt's snapshot; one without the manifest that was asked for is not finished work."""
        async with open_repository(ctx, params, looking=True) as restic:
            data, notes = await find_data(restic, ctx.host)
        found = [snapshot for snapshot in data if attempt_tag(key) in snapshot.tags]
        if not found:
            return ProbeAnswer.not_done("no snapshot carries the attempt's tag; backing up again is harmless")
        snapshot = found[-1]
        size = size_of(snapshot, notes)
        if is_partial(snapshot, notes):
            return ProbeAnswer.not_done(f"snapshot {snapshot.id} is partial; another snapshot is harmless")
        if params.manifest and size.files is None:
            return ProbeAnswer.not_done(f"snapshot {snapshot.id} has no manifest; another snapshot is harmless")
        if (params.hooks.after or params.quiesce) and not params.manifest:
            return ProbeAnswer.not_done(
                f"snapshot {snapshot.id} is there, but what was stopped for it may have run again before it was whole;"
                " another snapshot is harmless"
            )
        warning = deletion_warning(params, params.protected)
        outputs = BackupCreateOutputs(
            snapshot_id=snapshot.id,
            bytes_added=None,
            bytes_processed=size.bytes,
            files_new=None,
            files_processed=size.files,
            warnings=(warning,) if warning else (),
            restore_with=restore_files(params, snapshot.id),
        )
        return ProbeAnswer.done(outputs, f"snapshot {snapshot.id} carries the attempt's tag")

    async def recover(self, ctx: StepContext, params: BackupCreateParams, key: str) -> str:
        """Wake the containers that the attempt put to rest, and run the `after` hooks that it owes."""
        woken = await wake_interrupted(ctx, params.quiesce, key)
        ran = await run_owed(ctx, params.hooks, key)
        return "; ".join(filter(None, (woken, ran)))


def _how(ctx: StepContext, params: BackupCreateParams) -> Saving:
    tags = (OURS, attempt_tag(ctx.attempt_key), *params.tags)
    return Saving(tags, params.compression, params.one_file_system)


def _source(ctx: StepContext, params: BackupCreateParams) -> Source:
    """Check the paths and read the exclude files; blocking."""
    patterns = [*params.exclude, *(line for path in params.exclude_files for line in read_exclude_file(path))]
    return Source(
        paths=fit_paths(params.paths),
        exclusion=Exclusion(patterns),
        one_file_system=params.one_file_system,
        checkpoint=ctx.checkpoint,
        surveyed=ctx.scratch / "survey",
    )


async def _survey(ctx: StepContext, restic: Restic, params: BackupCreateParams, source: Source) -> None:
    """See what there is, and whether what is new will fit."""
    ctx.progress(None, "looking at what is there")
    await asyncio.to_thread(source.survey)
    totals = source.totals
    ctx.log(f"{totals.files} files, {totals.bytes} bytes, {len(source.excluded)} paths left out")
    free = free_bytes(params) if params.space_check else None
    if free is not None and totals.bytes > free:
        paths = tuple(map(os.fsdecode, source.paths))
        earlier = [one for one in await find(restic, tags=[OURS], host=ctx.host) if set(one.paths) == set(paths)]
        since = int(earlier[-1].time.timestamp() * 1e9) if earlier else 0
        check_room(params, await asyncio.to_thread(bytes_changed_since, source.surveyed, since), free)
    if params.manifest:
        await ctx.sleep(SETTLE_SECONDS)


async def _call_partial(ctx: StepContext, restic: Restic) -> None:
    """Mark a snapshot that was finished just before its containers were woken too early."""
    for snapshot in await find(restic, tags=[OURS, attempt_tag(ctx.attempt_key)]):
        await note_partial(ctx, restic, snapshot.id, ["the containers ran again before everything was read"])
