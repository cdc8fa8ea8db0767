"""What `transfer.send` hands to `transfer.receive`: where the data lies, and what it must be."""

from typing import Annotated, Final

from pilotage_plugin_api import StepContext, StepFailed, StepOutputs
from pydantic import Field

from pilotage_plugins.backup.manifests import fetch_manifest
from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.snapshots import MANIFEST, Snapshot, find
from pilotage_plugins.file.previous import sha256_of

TRANSFER: Final = "pilotage-transfer"
"""The tag of snapshots that are on their way. They are no backups: never `latest`, never pruned by a backup's rules."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Parcel(StepOutputs):
    """A snapshot, the path in it, and the SHA-256 of the manifest that describes every byte of it."""

    snapshot_id: Digest
    manifest_sha256: Digest
    path: PlainPath
    host: str = Field(min_length=1, max_length=255)


async def find_parcels(restic: Restic, attempt_tag: str) -> list[Snapshot]:
    """Return what an attempt has sent, oldest first."""
    return await find(restic, tags=[TRANSFER, attempt_tag])


async def manifest_of(ctx: StepContext, restic: Restic, snapshot: Snapshot) -> str | None:
    """Fetch a parcel's manifest into `scratch/manifest` and return its SHA-256; None when there is none."""
    manifest = ctx.scratch / "manifest"
    notes = await find(restic, tags=[MANIFEST])
    return sha256_of(manifest) if await fetch_manifest(restic, snapshot, notes, manifest) else None


async def open_parcel(ctx: StepContext, restic: Restic, parcel: Parcel) -> Snapshot:
    """Return the parcel's snapshot, with its manifest in `scratch/manifest`; raises StepFailed unless both are what
    was sent."""
    found = [each for each in await find(restic, tags=[TRANSFER]) if each.id == parcel.snapshot_id]
    if not found:
        raise StepFailed(
            f"the repository holds no transfer {parcel.snapshot_id[:8]}: is it the repository that transfer.send used,"
            " and was the snapshot forgotten since?"
        )
    digest = await manifest_of(ctx, restic, found[0])
    if digest != parcel.manifest_sha256 or found[0].paths != (parcel.path,):
        raise StepFailed(
            f"the transfer {parcel.snapshot_id[:8]} is not what {parcel.host} sent: its manifest has the SHA-256"
            f" {digest}, not {parcel.manifest_sha256}. Nothing was brought; send it again"
        )
    return found[0]
