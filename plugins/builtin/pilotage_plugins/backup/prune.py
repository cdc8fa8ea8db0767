"""`backup.prune`: forget old snapshots by rule and free their space."""

import time
from typing import Any

from pilotage_plugin_api import Action, Change, Effect, Preview, StepContext, StepOutputs, StepParams
from pydantic import Field, model_validator

from pilotage_plugins.backup.init import exists
from pilotage_plugins.backup.manifests import all_manifests
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.snapshots import OURS, find

FORGET_AT_ONCE = 200


class Keep(StepParams):
    """How many to keep: the last n, and the newest of each of the last n hours, days, weeks, months, years."""

    last: int = Field(0, ge=0, le=100_000)
    hourly: int = Field(0, ge=0, le=100_000)
    daily: int = Field(0, ge=0, le=100_000)
    weekly: int = Field(0, ge=0, le=100_000)
    monthly: int = Field(0, ge=0, le=100_000)
    yearly: int = Field(0, ge=0, le=100_000)

    @model_validator(mode="after")
    def _something(self) -> "Keep":
        if not any(self.model_dump().values()):
            raise ValueError("keeps nothing, so every backup would go: name at least one, such as {daily: 7}")
        return self

    @property
    def arguments(self) -> list[str]:
        """The options of restic."""
        return [f"--keep-{name}={number}" for name, number in self.model_dump().items() if number]


class BackupPruneParams(RepositoryParams):
    """Whose snapshots, and which of them stay."""

    keep: Keep
    host: str | None = Field(None, min_length=1, description="Whose (this host's); \"*\" for every host's")


class BackupPruneOutputs(StepOutputs):
    """How many snapshots of data stayed and went."""

    kept: int
    removed: int
    duration_s: float


class BackupPrune(ResticStepType[BackupPruneParams, BackupPruneOutputs]):
    """Forget the snapshots that no rule keeps, and free their space.

    Only snapshots that Pilotage made are looked at, each host's and each set of paths by itself, so that every set
    keeps its own. Destructive: what is forgotten cannot be had back.
    """

    name = "backup.prune"
    effect = Effect.IDEMPOTENT
    destructive = True
    Params = BackupPruneParams
    Outputs = BackupPruneOutputs

    async def preview(self, ctx: StepContext, params: BackupPruneParams) -> Preview:
        """Name the snapshots that would go."""
        async with open_repository(ctx, params) as restic:
            if not await exists(restic):
                return Preview(note="there is no repository yet, so nothing would go")
            groups = await _forget(ctx, restic, params, dry_run=True)
        changes = [
            Change(
                action=Action.DELETE,
                subject=gone["short_id"],
                before=f"{gone['time']} {' '.join(gone['paths'])}"[:4096],
            )
            for group in groups
            for gone in group.get("remove") or ()
        ]
        return Preview(changes=tuple(changes[:1000]), complete=len(changes) <= 1000)

    async def run(self, ctx: StepContext, params: BackupPruneParams) -> BackupPruneOutputs:
        """Forget data by the rules, then the manifests of what is gone, then free the space."""
        started = time.monotonic()
        async with open_repository(ctx, params) as restic:
            groups = await _forget(ctx, restic, params, dry_run=False)
            await _forget_orphans(ctx, restic)
            ctx.progress(None, "freeing space")
            await restic.run("freeing space", "prune")
        return BackupPruneOutputs(
            kept=sum(len(group.get("keep") or ()) for group in groups),
            removed=sum(len(group.get("remove") or ()) for group in groups),
            duration_s=round(time.monotonic() - started, 3),
        )


async def _forget(
    ctx: StepContext, restic: Restic, params: BackupPruneParams, *, dry_run: bool
) -> list[dict[str, Any]]:
    host = params.host or ctx.host
    arguments = ["forget", "--tag", OURS, "--group-by", "host,paths", *params.keep.arguments]
    arguments += [] if host == "*" else ["--host", host]
    arguments += ["--dry-run"] if dry_run else []
    return await restic.json("forgetting old snapshots", *arguments) or []


async def _forget_orphans(ctx: StepContext, restic: Restic) -> None:
    """Forget the manifests whose data is gone. The manifests are listed first: a backup that is being made now
    stores its data before its manifest, so its manifest cannot look orphaned."""
    manifests = await all_manifests(restic, None)
    data = {snapshot.id for snapshot in await find(restic)}
    orphans = [manifest.id for manifest in manifests if manifest.manifest_of not in data]
    for start in range(0, len(orphans), FORGET_AT_ONCE):
        await restic.run("forgetting manifests", "forget", *orphans[start : start + FORGET_AT_ONCE])
    ctx.log(f"forgot {len(orphans)} manifests of snapshots that are gone")
