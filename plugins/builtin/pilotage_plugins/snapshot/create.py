"""`snapshot.create`: keep the state of a path before something risky."""

from typing import Literal

from pilotage_plugin_api import Action, Change, Effect, Preview, ProbeAnswer, StepContext, StepOutputs
from pydantic import Field

from pilotage_plugins.snapshot.backend import Method, Snapshot, Wish, snapshot_id
from pilotage_plugins.snapshot.choice import choose, find_all, of_method, place_of
from pilotage_plugins.snapshot.parameters import PathParams, SnapshotStepType


class SnapshotCreateParams(PathParams):
    """Of what, and how."""

    method: Literal["auto"] | Method = Field(
        "auto",
        description="btrfs (of a subvolume), zfs (of a dataset), lvm (of a volume), copy (of any file or folder, by"
        " clones where the file system can); auto: the first of these that fits the path",
    )
    leave_out_nested: bool = Field(
        False, description="Go on although other file systems or subvolumes lie inside, and leave those out"
    )
    accept_changes: bool = Field(
        False, description="Keep a copy although something changed while it was made (method copy)"
    )
    lvm_share: int = Field(
        20, ge=1, le=100, description="Per cent of a classic LVM volume that may change before its snapshot is lost"
    )

    @property
    def wanted(self) -> Method | None:
        """The method, None for any."""
        return None if self.method == "auto" else Method(self.method)

    @property
    def wish(self) -> Wish:
        """What backends are told."""
        return Wish(leave_out_nested=self.leave_out_nested, accept_changes=self.accept_changes, share=self.lvm_share)


class SnapshotCreateOutputs(StepOutputs):
    """The snapshot. `cloned` of its `files` share their blocks with the original; None where a file system did it all.
    `left_out`: what lies inside on other file systems or subvolumes."""

    snapshot: str
    method: Method
    path: str
    where: str
    made_at: str
    bytes: int | None = None
    files: int | None = None
    cloned: int | None = None
    left_out: tuple[str, ...] = ()


class SnapshotCreate(SnapshotStepType[SnapshotCreateParams, SnapshotCreateOutputs]):
    """Keep the state of a folder, a file, a ZFS dataset or an LVM volume, so that `snapshot.restore` can bring it back.

    It stays on the same disk: no backup. Trees lie in `.pilotage-snapshots` beside the path. A copy of something that
    changed meanwhile fails unless `accept_changes`. Undo removes the snapshot.
    """

    name = "snapshot.create"
    effect = Effect.PROBE
    Params = SnapshotCreateParams
    Outputs = SnapshotCreateOutputs

    async def preview(self, ctx: StepContext, params: SnapshotCreateParams) -> Preview:
        """Say by which method, where to, and what would be left out."""
        place = await place_of(params.path)
        backend = await choose(ctx, place, params.wanted)
        outlook = await backend.outlook(ctx, place, params.wish)
        left_out = f"; left out: {', '.join(outlook.nested[:20])}" if outlook.nested else ""
        note = f"{backend.method}: {outlook.note}, in {outlook.where}{left_out}"
        return Preview(changes=(Change(action=Action.CREATE, subject=f"snapshot of {params.path}", note=note[:4096]),))

    async def run(self, ctx: StepContext, params: SnapshotCreateParams) -> SnapshotCreateOutputs:
        """Make it."""
        place = await place_of(params.path)
        backend = await choose(ctx, place, params.wanted)
        ctx.log(f"method {backend.method}")
        return _outputs(await backend.create(ctx, place, params.wish))

    async def undo(self, ctx: StepContext, params: SnapshotCreateParams, outputs: SnapshotCreateOutputs) -> None:
        """Remove it."""
        place = await place_of(params.path)
        for snapshot in await find_all(ctx, place):
            if snapshot.id == outputs.snapshot:
                await of_method(snapshot.method).remove(ctx, place, snapshot)

    async def probe(
        self, ctx: StepContext, params: SnapshotCreateParams, key: str
    ) -> ProbeAnswer[SnapshotCreateOutputs]:
        """Look for the attempt's snapshot."""
        place = await place_of(params.path)
        for snapshot in await find_all(ctx, place):
            if snapshot.id == snapshot_id(key) and snapshot.whole:
                return ProbeAnswer.done(_outputs(snapshot), f"{snapshot.where} was made by the attempt")
        return ProbeAnswer.not_done("the attempt left no whole snapshot; what it left half done will be removed")


def _outputs(snapshot: Snapshot) -> SnapshotCreateOutputs:
    return SnapshotCreateOutputs(
        snapshot=snapshot.id,
        method=snapshot.method,
        path=snapshot.path,
        where=snapshot.where,
        made_at=snapshot.made_at,
        bytes=snapshot.bytes,
        files=snapshot.files,
        cloned=snapshot.cloned,
        left_out=snapshot.left_out[:100],
    )
