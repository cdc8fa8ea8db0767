"""Manifests in a repository: each lies in a small snapshot of its own that names the data it describes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext, StepFailed

from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.snapshots import MANIFEST, Snapshot, attempt_tag, find, manifest_tags
from pilotage_plugins.tree.manifest import ManifestTotals

MANIFEST_NAME: Final = "/pilotage-manifest.ndjson.gz"
_CHUNK: Final = 256 * 1024


async def store_manifest(
    ctx: StepContext, restic: Restic, data_id: str, manifest: Path, totals: ManifestTotals
) -> None:
    """Store the manifest of a snapshot of data."""
    tags = [*manifest_tags(data_id, totals.files, totals.bytes), attempt_tag(ctx.attempt_key)]
    await restic.run(
        "storing the manifest",
        *("backup", "--json", "--host", ctx.host, "--tag", ",".join(tags)),
        *("--stdin", "--stdin-filename", MANIFEST_NAME),
        on_line=lambda _line: None,
        stdin=lambda: file_chunks(manifest),
    )


async def fetch_manifest(restic: Restic, snapshot: Snapshot, manifests: list[Snapshot], into: Path) -> bool:
    """Read the manifest of a snapshot into a file; returns False when there is none."""
    found = next((manifest for manifest in manifests if manifest.manifest_of == snapshot.id), None)
    if found is None:
        return False
    with into.open("wb") as out:
        await restic.run("reading the manifest", "dump", found.id, MANIFEST_NAME, stdout_to=out.fileno())
    if not into.stat().st_size:
        raise StepFailed(f"the manifest in snapshot {found.id} is empty")
    return True


async def all_manifests(restic: Restic, host: str | None) -> list[Snapshot]:
    """Return the snapshots that hold manifests."""
    return await find(restic, tags=[MANIFEST], host=host)


async def file_chunks(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's content; reads of local scratch files are short enough for the event loop."""
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk
