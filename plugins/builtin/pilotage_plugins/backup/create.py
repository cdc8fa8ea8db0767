"""`backup.create`: files and folders into a new snapshot."""

import asyncio
import os
import stat
import time
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    ProbeAnswer,
    StepContext,
    StepFailed,
    StepOutputs,
    TargetFailed,
)
from pydantic import AfterValidator, Field

from pilotage_plugins.backup.errors import EXIT_PARTIAL, failure
from pilotage_plugins.backup.manifests import all_manifests, store_manifest
from pilotage_plugins.backup.progress import BackupListener
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.snapshots import OURS, attempt_tag, check_tag, find, size_of
from pilotage_plugins.tree.exclusion import Exclusion, literal_pattern
from pilotage_plugins.tree.manifest import SETTLE_SECONDS, ManifestTotals, survey, write_manifest
from pilotage_plugins.tree.walk import Walk, path_key

EXCLUDED_LIMIT = 5000


class Compression(StrEnum):
    """How hard restic compresses."""

    AUTO = "auto"
    OFF = "off"
    MAX = "max"


def check_path(path: str) -> str:
    """Return an absolute path in its plain form; raises ValueError for any other."""
    if not path.startswith("/") or "\0" in path or os.path.normpath(path) != path or path.startswith("//"):
        raise ValueError(f"{path!r} is no plain absolute path (no `..`, no slash at the end)")
    return path


PlainPath = Annotated[str, AfterValidator(check_path)]
Tag = Annotated[str, AfterValidator(check_tag)]


class BackupCreateParams(RepositoryParams):
    """What to back up, and where to."""

    paths: tuple[PlainPath, ...] = Field(min_length=1, max_length=100, description="Files or folders, absolute")
    exclude: tuple[str, ...] = Field(
        (),
        max_length=2000,
        description="Left out: a name pattern (*.tmp), or with a slash a pattern of the whole path (/srv/**/cache)",
    )
    one_file_system: bool = Field(False, description="Do not cross into other mounted file systems")
    tags: tuple[Tag, ...] = Field((), max_length=50)
    compression: Compression = Compression.AUTO
    manifest: bool = Field(
        True, description="Read everything once more and store what was there, so that a drill can prove a restore"
    )


class BackupCreateOutputs(StepOutputs):
    """The snapshot and its size. `bytes_added`: what the repository grew by; None when a probe found the snapshot."""

    snapshot_id: str
    bytes_added: int | None
    bytes_processed: int | None
    files_new: int | None
    files_processed: int | None
    files_vanished: int = 0
    files_volatile: int | None = None
    duration_s: float | None = None


class BackupCreate(ResticStepType[BackupCreateParams, BackupCreateOutputs]):
    """Back up files and folders into a new snapshot of a restic repository.

    Files that vanish while they are read are counted; a file that cannot be read fails the step, which names it, and
    the snapshot without it stays. With `manifest` everything is read a second time, and what was there is
    stored beside the data for `restore.drill`. There is no undo: a rollback never destroys a backup.
    """

    name = "backup.create"
    effect = Effect.PROBE
    Params = BackupCreateParams
    Outputs = BackupCreateOutputs

    async def preview(self, ctx: StepContext, params: BackupCreateParams) -> Preview:
        """Name the paths, and those that are not there."""
        changes = [
            Change(action=Action.CREATE, subject=path, note=_unfit(path) or f"snapshot in {masked(params.repository)}")
            for path in params.paths
        ]
        return Preview(changes=tuple(changes))

    async def run(self, ctx: StepContext, params: BackupCreateParams) -> BackupCreateOutputs:
        """Survey, back up, describe, store the manifest."""
        paths = _fit_paths(params.paths)
        async with open_repository(ctx, params) as restic:
            excluded = await self._survey(ctx, params, paths)
            listener = await _back_up(ctx, restic, params, paths, excluded)
            snapshot = (await find(restic, tags=[OURS, attempt_tag(ctx.attempt_key)]))[-1]
            if listener.failed:
                raise StepFailed(
                    f"snapshot {snapshot.id} lacks {listener.failed} files that could not be read: "
                    + "; ".join(listener.errors)
                )
            totals = await self._describe(ctx, restic, params, paths, snapshot.id) if params.manifest else None
        return BackupCreateOutputs(
            snapshot_id=snapshot.id,
            bytes_added=listener.count("data_added"),
            bytes_processed=listener.count("total_bytes_processed"),
            files_new=listener.count("files_new"),
            files_processed=listener.count("total_files_processed"),
            files_vanished=listener.vanished,
            files_volatile=totals.volatile if totals else None,
            duration_s=round(float(listener.summary.get("total_duration", 0.0)), 3),
        )

    async def probe(self, ctx: StepContext, params: BackupCreateParams, key: str) -> ProbeAnswer[BackupCreateOutputs]:
        """Look for the attempt's snapshot; one without the manifest that was asked for is not finished work."""
        async with open_repository(ctx, params) as restic:
            found = await find(restic, tags=[OURS, attempt_tag(key)])
            manifests = await all_manifests(restic, ctx.host) if found else []
        if not found:
            return ProbeAnswer.not_done("no snapshot carries the attempt's tag; backing up again is harmless")
        snapshot = found[-1]
        size = size_of(snapshot, manifests)
        if params.manifest and size.files is None:
            return ProbeAnswer.not_done(f"snapshot {snapshot.id} has no manifest; another snapshot is harmless")
        outputs = BackupCreateOutputs(
            snapshot_id=snapshot.id,
            bytes_added=None,
            bytes_processed=size.bytes,
            files_new=None,
            files_processed=size.files,
        )
        return ProbeAnswer.done(outputs, f"snapshot {snapshot.id} carries the attempt's tag")

    async def _survey(self, ctx: StepContext, params: BackupCreateParams, paths: list[bytes]) -> list[bytes]:
        """Note the identity of everything, and return the exact paths that the patterns leave out."""
        if not params.manifest and not params.exclude:
            return []
        excluded: list[bytes] = []
        ctx.progress(None, "looking at what is there")
        number = await asyncio.to_thread(survey, _walks(ctx, params, paths, excluded), ctx.scratch / "survey")
        ctx.log(f"{number} entries, {len(excluded)} left out")
        if len(excluded) > EXCLUDED_LIMIT:
            raise StepFailed(
                f"the patterns leave out {len(excluded)} single paths, more than {EXCLUDED_LIMIT}: name their folders"
            )
        await ctx.sleep(SETTLE_SECONDS)
        return excluded

    async def _describe(
        self, ctx: StepContext, restic: Restic, params: BackupCreateParams, paths: list[bytes], snapshot_id: str
    ) -> ManifestTotals:
        ctx.progress(None, "describing what was backed up")
        manifest = ctx.scratch / "manifest"
        header = {"snapshot": snapshot_id, "host": ctx.host, "roots": [os.fsdecode(path) for path in paths]}
        walks = _walks(ctx, params, paths, [])
        totals = await asyncio.to_thread(write_manifest, walks, ctx.scratch / "survey", header, manifest)
        await store_manifest(ctx, restic, snapshot_id, manifest, totals)
        return totals


def _walks(ctx: StepContext, params: BackupCreateParams, paths: list[bytes], excluded: list[bytes]) -> list[Walk]:
    exclusion = Exclusion(params.exclude)
    return [
        Walk(
            path,
            exclusion=exclusion,
            one_file_system=params.one_file_system,
            checkpoint=ctx.checkpoint,
            excluded=excluded.append,
        )
        for path in paths
    ]


async def _back_up(
    ctx: StepContext, restic: Restic, params: BackupCreateParams, paths: list[bytes], excluded: list[bytes]
) -> BackupListener:
    listener = BackupListener(ctx, time.time())
    tags = [OURS, attempt_tag(ctx.attempt_key), *params.tags]
    arguments: list[str | bytes] = ["backup", "--json", "--host", ctx.host, "--tag", ",".join(tags)]
    arguments += ["--compression", params.compression.value]
    arguments += ["--one-file-system"] if params.one_file_system else []
    for path in excluded:
        arguments += [b"--exclude=" + literal_pattern(path)]
    started = time.monotonic()
    result = await restic.attempt(*arguments, b"--", *paths, on_line=listener.stdout, on_error_line=listener.stderr)
    explained = listener.failed or listener.vanished
    if result.exit_code and not (result.exit_code == EXIT_PARTIAL and explained):
        raise failure(result, "backing up", params.repository)
    ctx.log(f"restic took {time.monotonic() - started:.1f} s")
    return listener


def _fit_paths(paths: tuple[str, ...]) -> list[bytes]:
    """Return the paths in walk order; raises TargetFailed for one that is not there, or lies in another."""
    for path in paths:
        if reason := _unfit(path):
            raise TargetFailed(f"cannot back up {path!r}: {reason}")
    ordered = sorted({os.fsencode(path) for path in paths}, key=path_key)
    for outer, inner in pairwise(ordered):
        if inner.startswith(outer.rstrip(b"/") + b"/"):
            raise TargetFailed(f"{os.fsdecode(inner)!r} lies in {os.fsdecode(outer)!r}: name only the outer one")
    return ordered


def _unfit(path: str) -> str:
    """Say why a path cannot be backed up; empty when it can."""
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        return f"{error.strerror}"
    return f"it is a symbolic link; name {os.path.realpath(path)!r} instead" if stat.S_ISLNK(mode) else ""
