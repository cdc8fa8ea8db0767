"""`snapshot.remove`: a snapshot that is not needed any more."""

from pilotage_plugin_api import Action, Change, Effect, Preview, StepContext, StepOutputs
from pydantic import Field, model_validator

from pilotage_plugins.snapshot.backend import Kind, Snapshot, execution_of
from pilotage_plugins.snapshot.choice import LATEST, OWN, find_all, of_method, place_of
from pilotage_plugins.snapshot.parameters import PathParams, SnapshotStepType, Which


class SnapshotRemoveParams(PathParams):
    """Which."""

    snapshot: Which | None = Field(
        None,
        description=f"`{OWN}` (the default): all that this execution made of the path; an id; `{LATEST}`: the newest",
    )
    keep_last: int | None = Field(
        None, ge=0, le=1000, description="Instead: remove all but the newest so many, and all that were cut off"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "SnapshotRemoveParams":
        if self.snapshot is not None and self.keep_last is not None:
            raise ValueError("snapshot and keep_last exclude each other: name one snapshot, or how many stay")
        return self


class SnapshotRemoveOutputs(StepOutputs):
    """What was removed now, newest first, and how many stay."""

    path: str
    removed: tuple[str, ...]
    left: int


class SnapshotRemove(SnapshotStepType[SnapshotRemoveParams, SnapshotRemoveOutputs]):
    """Remove snapshots of a path, and what restores have put aside there; nothing happens when they are gone.

    There is no way back.
    """

    name = "snapshot.remove"
    effect = Effect.IDEMPOTENT
    destructive = True
    Params = SnapshotRemoveParams
    Outputs = SnapshotRemoveOutputs

    async def preview(self, ctx: StepContext, params: SnapshotRemoveParams) -> Preview:
        """Name them."""
        doomed, _ = _sort(await find_all(ctx, await place_of(params.path)), params, execution_of(ctx.attempt_key))
        changes = [
            Change(action=Action.DELETE, subject=snapshot.where, note=f"{snapshot.kind} of {snapshot.made_at}")
            for snapshot in doomed[:1000]
        ]
        if params.keep_last is None and params.snapshot in (None, OWN):
            return Preview(changes=tuple(changes), note="and those that this execution makes of the path before")
        return Preview(changes=tuple(changes))

    async def run(self, ctx: StepContext, params: SnapshotRemoveParams) -> SnapshotRemoveOutputs:
        """Remove them, oldest first."""
        place = await place_of(params.path)
        doomed, left = _sort(await find_all(ctx, place), params, execution_of(ctx.attempt_key))
        for number, snapshot in enumerate(reversed(doomed)):
            ctx.checkpoint()
            ctx.progress(number / len(doomed), f"removing {snapshot.where}"[:200])
            ctx.log(f"removing {snapshot.where} of {snapshot.made_at}")
            await of_method(snapshot.method).remove(ctx, place, snapshot)
        removed = tuple(snapshot.id for snapshot in doomed)
        return SnapshotRemoveOutputs(path=params.path, removed=removed[:1000], left=len(left))


def _sort(found: list[Snapshot], params: SnapshotRemoveParams, execution: str) -> tuple[list[Snapshot], list[Snapshot]]:
    """Return what goes and what stays; `found` is newest first."""
    if params.keep_last is not None:
        whole = [snapshot for snapshot in found if snapshot.whole]
        stay = {snapshot.id for snapshot in whole[: params.keep_last]}
    elif params.snapshot in (None, OWN):
        stay = {snapshot.id for snapshot in found if snapshot.execution != execution}
    elif params.snapshot == LATEST:
        newest = [snapshot.id for snapshot in found if snapshot.kind is Kind.SNAPSHOT][:1]
        stay = {snapshot.id for snapshot in found} - set(newest)
    else:
        stay = {snapshot.id for snapshot in found} - {params.snapshot}
    return [one for one in found if one.id not in stay], [one for one in found if one.id in stay]
