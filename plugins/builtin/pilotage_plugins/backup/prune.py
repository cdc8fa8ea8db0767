"""`backup.prune`: forget old snapshots by rule and free their space."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pilotage_plugin_api import Action, Change, Effect, Preview, StepContext, StepOutputs, StepParams
from pydantic import Field, model_validator

from pilotage_plugins.backup.deletion import DeletionRefused, delete, forget
from pilotage_plugins.backup.init import exists
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.retention import Retention, group_of, weigh
from pilotage_plugins.backup.snapshots import MANIFEST, OURS, find, find_data


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


class WhenRefused(StrEnum):
    """What it means that the repository lets these credentials delete nothing."""

    FAIL = "fail"
    WARN = "warn"


class BackupPruneParams(RepositoryParams):
    """Whose snapshots, and which of them stay."""

    keep: Keep
    host: str | None = Field(None, min_length=1, description="Whose (this host's); \"*\" for every host's")
    when_refused: WhenRefused = Field(
        WhenRefused.FAIL,
        description="The repository is append-only: fail; or warn, where somebody else prunes with another credential",
    )


class BackupPruneOutputs(StepOutputs):
    """How many snapshots of data stayed and went. `held`: sets of paths of which nothing went, because their newest
    backup is not whole. `warnings`: that the repository refused, and so nothing went at all."""

    kept: int
    removed: int
    duration_s: float
    held: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Doomed:
    """What the rules let go, as restic describes it, and how many stay."""

    snapshots: tuple[dict[str, Any], ...]
    kept: int
    held: tuple[str, ...]

    def spared(self) -> "_Doomed":
        """Return what it is when nothing goes after all."""
        return _Doomed((), self.kept + len(self.snapshots), self.held)


class BackupPrune(ResticStepType[BackupPruneParams, BackupPruneOutputs]):
    """Forget the snapshots that no rule keeps, and free their space.

    Only snapshots that Pilotage made are looked at, each host's and each set of paths by itself, so that every set
    keeps its own. A backup that is not whole displaces none that is. Give this step a credential of its own where the
    hosts' may only add: an append-only repository refuses it, and that is said at once (`when_refused`). Destructive:
    what is forgotten cannot be had back.
    """

    name = "backup.prune"
    effect = Effect.IDEMPOTENT
    destructive = True
    Params = BackupPruneParams
    Outputs = BackupPruneOutputs

    async def preview(self, ctx: StepContext, params: BackupPruneParams) -> Preview:
        """Name the snapshots that would go."""
        async with open_repository(ctx, params, looking=True) as restic:
            if not await exists(restic):
                return Preview(note="there is no repository yet, so nothing would go")
            retention = await _weigh(ctx, restic, params)
            doomed = await _by_rule(ctx, restic, params, retention)
        changes = [
            Change(
                action=Action.DELETE,
                subject=gone["short_id"],
                before=f"{gone['time']} {' '.join(gone['paths'])}"[:4096],
                note="not whole, and there is a newer one that is" if gone["id"] in retention.outdated else "",
            )
            for gone in doomed.snapshots
        ]
        note = f"nothing goes of {', '.join(doomed.held)}: its newest backup is not whole" if doomed.held else ""
        return Preview(changes=tuple(changes[:1000]), complete=len(changes) <= 1000, note=note[:4096])

    async def run(self, ctx: StepContext, params: BackupPruneParams) -> BackupPruneOutputs:
        """Forget data by the rules, then the manifests of what is gone, then free the space."""
        started = time.monotonic()
        async with open_repository(ctx, params) as restic:
            retention = await _weigh(ctx, restic, params)
            removed, warnings = set(retention.outdated), []
            try:
                await forget(restic, retention.outdated)
                doomed = await _by_rule(ctx, restic, params, retention)
                removed |= {gone["id"] for gone in doomed.snapshots}
                await forget(restic, [gone["id"] for gone in doomed.snapshots])
                await _forget_orphans(ctx, restic)
                ctx.progress(None, "freeing space")
                await delete(restic, "freeing space", "prune")
            except DeletionRefused as refused:
                if params.when_refused is WhenRefused.FAIL:
                    raise
                warnings.append(f"nothing was pruned: {refused}")
                doomed = await _by_rule(ctx, restic, params, retention)
                doomed, removed = doomed.spared(), set()
        return BackupPruneOutputs(
            kept=doomed.kept,
            removed=len(removed),
            duration_s=round(time.monotonic() - started, 3),
            held=doomed.held,
            warnings=tuple(warnings),
        )


async def _weigh(ctx: StepContext, restic: Restic, params: BackupPruneParams) -> Retention:
    host = params.host or ctx.host
    data, notes = await find_data(restic, None if host == "*" else host)
    return weigh(data, notes)


async def _by_rule(ctx: StepContext, restic: Restic, params: BackupPruneParams, retention: Retention) -> _Doomed:
    """Ask restic what the rules let go; it only answers, so that what was shown is what is forgotten."""
    host = params.host or ctx.host
    arguments = ["forget", "--dry-run", "--tag", OURS, "--group-by", "host,paths", *params.keep.arguments]
    arguments += [] if host == "*" else ["--host", host]
    groups = await restic.json("asking which snapshots may go", *arguments, silence=[]) or []
    gone: list[dict[str, Any]] = []
    kept, held = 0, []
    for group in groups:
        stay, go = group.get("keep") or (), group.get("remove") or ()
        outdated = [one for one in (*stay, *go) if one["id"] in retention.outdated]
        gone += outdated
        if group_of(group) in retention.held:
            held.append(" ".join(group["paths"]))
            kept += len(stay) + len(go) - len(outdated)
            continue
        gone += [one for one in go if one["id"] not in retention.outdated]
        kept += sum(one["id"] not in retention.outdated for one in stay)
    return _Doomed(tuple(gone), kept, tuple(sorted(held)))


async def _forget_orphans(ctx: StepContext, restic: Restic) -> None:
    """Forget the notes whose data is gone. They are listed first: a backup that is being made now stores its data
    before its manifest, so its manifest cannot look orphaned."""
    notes = await find(restic, tags=[MANIFEST])
    data = {snapshot.id for snapshot in await find(restic)}
    orphans = [note.id for note in notes if (note.manifest_of or note.lacks_files_in) not in data]
    await forget(restic, orphans)
    ctx.log(f"forgot {len(orphans)} manifests of snapshots that are gone")
