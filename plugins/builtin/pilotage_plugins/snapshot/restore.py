"""`snapshot.restore`: bring a path back to what a snapshot kept."""

import asyncio

from pilotage_plugin_api import Action, Change, Effect, Preview, ProbeAnswer, Refused, StepContext
from pydantic import Field

from pilotage_plugins.note import shelf
from pilotage_plugins.snapshot.backend import Method, Restored
from pilotage_plugins.snapshot.choice import BACKENDS, OWN, find_one, of_method, place_of
from pilotage_plugins.snapshot.parameters import PathParams, SnapshotStepType, Which


class SnapshotRestoreParams(PathParams):
    """What, and from which snapshot."""

    snapshot: Which = OWN
    keep_current: bool = Field(
        True, description="Keep what is there now beside it, so that it can be had back; false: it is deleted"
    )


class SnapshotRestoreOutputs(Restored):
    """What came back; `kept` names what was there before, which snapshot.restore takes, too, and snapshot.remove."""


class SnapshotRestore(SnapshotStepType[SnapshotRestoreParams, SnapshotRestoreOutputs]):
    """Bring a path back to what a snapshot kept, in one instant; what was there is put aside, not deleted.

    Stop what uses the path first: a program goes on in the tree that it has open. The snapshot stays. A ZFS dataset can
    only be rolled back, with `keep_current: false`; LVM's volumes are brought back by hand, and the step says how.
    Undo puts back what was there; what was written since goes.
    """

    name = "snapshot.restore"
    effect = Effect.PROBE
    destructive = True
    Params = SnapshotRestoreParams
    Outputs = SnapshotRestoreOutputs

    async def preview(self, ctx: StepContext, params: SnapshotRestoreParams) -> Preview:
        """Name the snapshot, and what becomes of what is there."""
        place = await place_of(params.path)
        if params.snapshot == OWN:
            note = "from the snapshot that this execution makes of it before"
        else:
            snapshot = await find_one(ctx, place, params.snapshot)
            note = f"from {snapshot.where} ({snapshot.method}) of {snapshot.made_at}"
        if not place.there:
            return Preview(changes=(Change(action=Action.CREATE, subject=params.path, note=note),))
        fate = "what is there is put aside" if params.keep_current else "what is there is deleted, for good"
        return Preview(changes=(Change(action=Action.UPDATE, subject=params.path, note=f"{note}; {fate}"),))

    async def run(self, ctx: StepContext, params: SnapshotRestoreParams) -> SnapshotRestoreOutputs:
        """Restore it."""
        place = await place_of(params.path)
        snapshot = await find_one(ctx, place, params.snapshot)
        ctx.log(f"restoring {snapshot.where} of {snapshot.made_at}")
        backend = of_method(snapshot.method)
        restored = await backend.restore(ctx, place, snapshot, keep_current=params.keep_current)
        if not backend.tells_restored:
            await asyncio.to_thread(shelf.keep, ctx.attempt_key, restored)
        return SnapshotRestoreOutputs(**dict(restored))

    async def undo(self, ctx: StepContext, params: SnapshotRestoreParams, outputs: SnapshotRestoreOutputs) -> None:
        """Put back what was there."""
        if outputs.kept is None:
            raise Refused(
                f"what was at {params.path!r} before the restore was not kept (keep_current: false): restore a backup"
            )
        await of_method(outputs.method).put_back(ctx, await place_of(params.path), outputs)

    async def probe(
        self, ctx: StepContext, params: SnapshotRestoreParams, key: str
    ) -> ProbeAnswer[SnapshotRestoreOutputs]:
        """Ask each backend what the attempt brought about."""
        place = await place_of(params.path)
        for backend in BACKENDS:
            if restored := await backend.restored(ctx, place, key):
                return ProbeAnswer.done(SnapshotRestoreOutputs(**dict(restored)), "the snapshot has taken its place")
        if noted := await asyncio.to_thread(shelf.find, key, SnapshotRestoreOutputs):
            return ProbeAnswer.done(noted, "the rollback was noted as done")
        if place.is_mount_point and place.mount.type == Method.ZFS:
            return ProbeAnswer.unknown(f"the ZFS dataset at {params.path!r} does not tell whether it was rolled back")
        return ProbeAnswer.not_done("the path was not replaced by this attempt")
