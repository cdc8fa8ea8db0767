"""Manifests in a repository: each lies in a small snapshot of its own that names the data it describes."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from pilotage_plugin_api import StepContext, StepFailed

from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.snapshots import Snapshot, attempt_tag, manifest_tags, partial_tags
from pilotage_plugins.tree.manifest import ManifestTotals

MANIFEST_NAME: Final = "/pilotage-manifest.ndjson.gz"
_CHUNK: Final = 256 * 1024


async def store_manifest(
    ctx: StepContext, restic: Restic, data_id: str, manifest: Path, totals: ManifestTotals
) -> None:
    """Store the manifest of a snapshot of data."""
    tags = manifest_tags(data_id, totals.files, totals.bytes)
    await _store(ctx, restic, "storing the manifest", tags, lambda: file_chunks(manifest))


async def note_partial(ctx: StepContext, restic: Restic, data_id: str, missing: list[str]) -> None:
    """Store the note that files are missing in a snapshot, and which."""
    content = "".join(f"{line}\n" for line in missing).encode("utf-8", "surrogateescape") or b"\n"

    async def once() -> AsyncIterator[bytes]:
        yield content

    await _store(ctx, restic, "noting that the snapshot is partial", partial_tags(data_id), once)


async def _store(
    ctx: StepContext, restic: Restic, what: str, tags: list[str], content: Callable[[], AsyncIterator[bytes]]
) -> None:
    await restic.run(
        what,
        *("backup", "--json", "--host", ctx.host, "--tag", ",".join([*tags, attempt_tag(ctx.attempt_key)])),
        *("--stdin", "--stdin-filename", MANIFEST_NAME),
        on_line=lambda _line: None,
        stdin=content,
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


async def file_chunks(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's content; reads of local scratch files are short enough for the event loop."""
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk
