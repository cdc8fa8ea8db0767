"""`transfer.receive`: bring what another host sent to its place."""

import asyncio
import os
from pathlib import Path

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
from pydantic import Field

from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.progress import RestoreListener
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.restore import restore_snapshot
from pilotage_plugins.backup.space import check_restore_room
from pilotage_plugins.file.wish import own_path
from pilotage_plugins.snapshot.backend import Kind, Method, Restored, snapshot_id
from pilotage_plugins.snapshot.choice import of_method, place_of
from pilotage_plugins.snapshot.copy import CopiedTrees
from pilotage_plugins.snapshot.place import Place
from pilotage_plugins.snapshot.store import About, new_about
from pilotage_plugins.snapshot.swap import restored_from, take_place
from pilotage_plugins.snapshot.thread import finished_in_thread
from pilotage_plugins.transfer.parcel import Parcel, open_parcel
from pilotage_plugins.tree.comparison import Comparison, compare
from pilotage_plugins.tree.deletion import delete_tree
from pilotage_plugins.tree.manifest import read_manifest

COMPARING_FROM = 0.7
"""The fraction of the work that restoring is; reading everything again is the rest."""


class TransferReceiveParams(RepositoryParams):
    """What to bring, and where to."""

    sent: Parcel = Field(description="What transfer.send said: ${{ first(pluck(steps.SEND.results, 'outputs.sent')) }}")
    target: PlainPath | None = Field(None, description="Where it comes to (where it was on the host that sent it)")
    overwrite: bool = Field(
        False, description="Replace what is at the target; without it anything there stops the step"
    )
    keep_current: bool = Field(
        True, description="Keep what is replaced beside the target, as snapshot.restore does; false: it is deleted"
    )

    @property
    def place(self) -> str:
        """Where it comes to."""
        return self.target or self.sent.path


class TransferReceiveOutputs(StepOutputs):
    """What came, and that it is what was sent. `identical`: entries that agree in everything with what the sender
    described; None when a probe found it. `arrival` feeds the undo; `arrival.kept` is what was replaced."""

    target: str
    files: int | None
    bytes: int | None
    identical: int | None
    arrival: Restored


class TransferReceive(ResticStepType[TransferReceiveParams, TransferReceiveOutputs]):
    """Bring what `transfer.send` put into the repository to its place, checked byte for byte, and whole or not at all.

    It is restored beside the target and compared with the sender's description: content, type, mode, owner, times,
    links, attributes. Only then does it take its place, in one instant. Nothing is replaced without `overwrite: true`.
    Undo takes it away and puts back what was there.
    """

    name = "transfer.receive"
    effect = Effect.PROBE
    destructive = True
    Params = TransferReceiveParams
    Outputs = TransferReceiveOutputs

    async def preview(self, ctx: StepContext, params: TransferReceiveParams) -> Preview:
        """Say what would come, and what it would replace."""
        place = await place_of(params.place)
        _refuse(place, params)
        note = f"from {params.sent.host}:{params.sent.path} through {masked(params.repository)}"
        if not place.there:
            return Preview(changes=(Change(action=Action.CREATE, subject=params.place, note=note[:4096]),))
        fate = "what is there is put aside" if params.keep_current else "what is there is deleted, for good"
        return Preview(changes=(Change(action=Action.UPDATE, subject=params.place, note=f"{note}; {fate}"[:4096]),))

    async def run(self, ctx: StepContext, params: TransferReceiveParams) -> TransferReceiveOutputs:
        """Restore, compare, take the place."""
        place = await place_of(params.place)
        _refuse(place, params)
        compared = Comparison()

        async def prepare(data: Path, about: About) -> About:
            nonlocal compared
            async with open_repository(ctx, params) as restic:
                compared = await _bring(ctx, restic, params.sent, data)
            return about.model_copy(update={"files": compared.files_identical, "bytes": compared.bytes_identical})

        name = snapshot_id(ctx.attempt_key)
        about = new_about(ctx.attempt_key, name, Kind.KEPT, Method.COPY, place.path, of=params.sent.snapshot_id)
        arrived = await take_place(ctx, CopiedTrees(), place, about, prepare, keep_current=params.keep_current)
        return TransferReceiveOutputs(
            target=params.place,
            files=arrived.files,
            bytes=arrived.bytes,
            identical=compared.identical,
            arrival=restored_from(arrived),
        )

    async def undo(self, ctx: StepContext, params: TransferReceiveParams, outputs: TransferReceiveOutputs) -> None:
        """Take it away, and put back what was there."""
        place = await place_of(str(own_path(params.place, outputs.target)))
        await of_method(Method.COPY).put_back(ctx, place, outputs.arrival)

    async def probe(
        self, ctx: StepContext, params: TransferReceiveParams, key: str
    ) -> ProbeAnswer[TransferReceiveOutputs]:
        """Ask whether the attempt's tree has taken the place."""
        place = await place_of(params.place)
        arrival = await of_method(Method.COPY).restored(ctx, place, key)
        if arrival is None:
            return ProbeAnswer.not_done("nothing has come to the target by this attempt; what it left is removed")
        outputs = TransferReceiveOutputs(target=params.place, files=None, bytes=None, identical=None, arrival=arrival)
        return ProbeAnswer.done(outputs, "what was sent has taken its place")


def _refuse(place: Place, params: TransferReceiveParams) -> None:
    if place.is_mount_point:
        raise TargetFailed(f"{params.place!r} is a mount point, which cannot be replaced: give `target` a folder in it")
    if place.there and not params.overwrite:
        raise TargetFailed(
            f"something is at {params.place!r} already: give another `target`, or set overwrite: true to replace it"
        )


async def _bring(ctx: StepContext, restic: Restic, parcel: Parcel, data: Path) -> Comparison:
    """Restore the parcel beside its place, prove that it is what was sent, and leave it at `data`."""
    snapshot = await open_parcel(ctx, restic, parcel)
    await check_restore_room(restic, snapshot, data.parent, "make room, or give `target` a place on a bigger disk")
    staging = data.with_name("staging")
    await asyncio.to_thread(delete_tree, staging)
    listener = RestoreListener(ctx, end=COMPARING_FROM)
    await restore_snapshot(restic, snapshot, str(staging), (), listener, verify=False)
    ctx.progress(listener.end, "comparing it with what was sent")
    root = os.fsencode(parcel.path)
    compared = await finished_in_thread(
        lambda: compare(
            read_manifest(ctx.scratch / "manifest"), [root], bytes(staging), os.geteuid() == 0, ctx.checkpoint
        )
    )
    if compared.different:
        raise StepFailed(
            f"what came from {parcel.host} is not what it sent, {compared.different} differences:"
            f" {'; '.join(compared.differences)}"
        )
    Path(f"{staging}{parcel.path}").rename(data)
    await finished_in_thread(lambda: delete_tree(staging))
    return compared
