"""`transfer.send`: put a file or a folder on its way to other hosts."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    Preview,
    ProbeAnswer,
    StepContext,
    StepError,
    StepFailed,
    StepOutputs,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.backup.deletion import forget
from pilotage_plugins.backup.parameters import Compression, PlainPath
from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic, ResticStepType, open_repository
from pilotage_plugins.backup.saving import Saving, describe_saved, save
from pilotage_plugins.backup.snapshots import MANIFEST, attempt_tag, find
from pilotage_plugins.backup.source import Source, fit_paths, unfit
from pilotage_plugins.backup.space import check_room, free_bytes
from pilotage_plugins.file.previous import sha256_of
from pilotage_plugins.transfer.parcel import TRANSFER, Parcel, find_parcels, manifest_of
from pilotage_plugins.tree.exclusion import Exclusion
from pilotage_plugins.tree.manifest import SETTLE_SECONDS

INDEXING_SECONDS = 300.0


class TransferSendParams(RepositoryParams):
    """What to send, and through which repository."""

    path: PlainPath = Field(description="A file or a folder")
    exclude: tuple[str, ...] = Field((), max_length=2000, description="Patterns of what stays, as in backup.create")
    one_file_system: bool = Field(False, description="Do not cross into other mounted file systems")
    accept_changes: bool = Field(
        False,
        description="Send it although something changed meanwhile; of that, restic's own hashes are the only proof",
    )
    compression: Compression = Compression.AUTO


class TransferSendOutputs(StepOutputs):
    """The parcel, as `transfer.receive` takes it, and its size. `bytes_added`: what had to be sent, as the repository
    had the rest. `volatile`: entries that changed meanwhile. Both None when a probe found the parcel."""

    sent: Parcel
    files: int
    bytes: int
    bytes_added: int | None
    volatile: int | None


class TransferSend(ResticStepType[TransferSendParams, TransferSendOutputs]):
    """Put a file or a folder into a restic repository for other hosts, with a description of every byte of it.

    Another attempt goes on where one was cut off: what has arrived is not sent again. Undo forgets the snapshot; the
    space is freed by the next `backup.prune`.
    """

    name = "transfer.send"
    effect = Effect.PROBE
    Params = TransferSendParams
    Outputs = TransferSendOutputs

    async def preview(self, ctx: StepContext, params: TransferSendParams) -> Preview:
        """Name the path, or say why it cannot be sent."""
        if reason := await asyncio.to_thread(unfit, params.path):
            raise TargetFailed(f"cannot send {params.path!r}: {reason}")
        note = f"a transfer in {masked(params.repository)}"
        return Preview(changes=(Change(action=Action.CREATE, subject=params.path, note=note[:4096]),))

    async def run(self, ctx: StepContext, params: TransferSendParams) -> TransferSendOutputs:
        """Survey, send, describe; a parcel that nobody can vouch for is taken back."""
        source = await asyncio.to_thread(_source, ctx, params)
        tag = attempt_tag(ctx.attempt_key)
        async with open_repository(ctx, params) as restic:
            ctx.progress(None, "looking at what is there")
            await asyncio.to_thread(source.survey)
            if (free := free_bytes(params)) is not None:
                check_room(params, source.totals.bytes, free)
            await ctx.sleep(SETTLE_SECONDS)
            if _is_repeated(ctx):
                await _find_what_arrived(restic)
            listener = await save(
                ctx, restic, source, Saving((TRANSFER, tag), params.compression, params.one_file_system)
            )
            snapshot = (await find_parcels(restic, tag))[-1]
            if listener.failed:
                await _take_back(restic, snapshot.id)
                raise StepFailed(
                    f"{listener.failed} files of {params.path!r} could not be read: {'; '.join(listener.errors)}. Let"
                    " the agent read them, or exclude them"
                )
            totals = await describe_saved(ctx, restic, source, snapshot.id)
            if totals.volatile and not params.accept_changes:
                await _take_back(restic, snapshot.id)
                raise StepFailed(
                    f"{totals.volatile} entries of {params.path!r} changed while they were sent: stop what writes"
                    " there, send a snapshot of it (snapshot.create), or set accept_changes: true"
                )
        parcel = Parcel(
            snapshot_id=snapshot.id,
            manifest_sha256=await asyncio.to_thread(sha256_of, ctx.scratch / "manifest"),
            path=params.path,
            host=ctx.host,
        )
        return TransferSendOutputs(
            sent=parcel,
            files=totals.files,
            bytes=totals.bytes,
            bytes_added=listener.count("data_added"),
            volatile=totals.volatile,
        )

    async def undo(self, ctx: StepContext, params: TransferSendParams, outputs: TransferSendOutputs) -> None:
        """Forget the snapshot and its manifest."""
        async with open_repository(ctx, params) as restic:
            await _forget(restic, outputs.sent.snapshot_id)

    async def probe(self, ctx: StepContext, params: TransferSendParams, key: str) -> ProbeAnswer[TransferSendOutputs]:
        """Look for the attempt's snapshot and its manifest."""
        async with open_repository(ctx, params, looking=True) as restic:
            found = await find_parcels(restic, attempt_tag(key))
            digest = await manifest_of(ctx, restic, found[-1]) if found else None
            notes = await find(restic, tags=[MANIFEST]) if found else []
        note = next((each for each in notes if each.manifest_of == found[-1].id), None) if found else None
        if digest is None or note is None:
            return ProbeAnswer.not_done("no whole transfer carries the attempt's tag; sending again is harmless")
        parcel = Parcel(snapshot_id=found[-1].id, manifest_sha256=digest, path=params.path, host=ctx.host)
        files, size = note.counted("files:") or 0, note.counted("bytes:") or 0
        outputs = TransferSendOutputs(sent=parcel, files=files, bytes=size, bytes_added=None, volatile=None)
        return ProbeAnswer.done(outputs, f"snapshot {found[-1].id} carries the attempt's tag")


def _source(ctx: StepContext, params: TransferSendParams) -> Source:
    return Source(
        paths=fit_paths((params.path,)),
        exclusion=Exclusion(params.exclude),
        one_file_system=params.one_file_system,
        checkpoint=ctx.checkpoint,
        surveyed=ctx.scratch / "survey",
    )


def _is_repeated(ctx: StepContext) -> bool:
    """Whether an attempt came before this one."""
    number = ctx.attempt_key.rpartition("/")[2]
    return number.isdecimal() and int(number) > 1


async def _find_what_arrived(restic: Restic) -> None:
    """Have restic index what an interrupted attempt has stored, so that it is not sent again.

    restic writes its index when it is done, and every ten minutes. This needs the repository alone; where somebody else
    uses it, or it may only be added to, everything is sent again instead.
    """
    alone = replace(restic, params=restic.params.model_copy(update={"lock_wait": timedelta(0)}))
    alone = alone.limited(INDEXING_SECONDS)
    command = ("repair", "index") if await restic.version() >= (0, 16) else ("rebuild-index",)
    try:
        await alone.run("indexing what has arrived", *command)
    except StepError as error:
        restic.ctx.log(f"what an earlier attempt sent is not indexed, so it will be sent again: {error}")


async def _take_back(restic: Restic, snapshot_id: str) -> None:
    try:
        await _forget(restic, snapshot_id)
    except StepError as error:
        restic.ctx.log(f"the transfer {snapshot_id[:8]} could not be forgotten: {error}")


async def _forget(restic: Restic, snapshot_id: str) -> None:
    notes = await find(restic, tags=[MANIFEST])
    there = [each.id for each in await find(restic, tags=[TRANSFER]) if each.id == snapshot_id]
    await forget(restic, [*there, *(note.id for note in notes if note.manifest_of == snapshot_id)])
