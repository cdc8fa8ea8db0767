"""Putting files into a repository, and describing what was put there."""

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any

from pilotage_plugin_api import StepContext

from pilotage_plugins.backup.errors import EXIT_PARTIAL, failure
from pilotage_plugins.backup.manifests import store_manifest
from pilotage_plugins.backup.parameters import Compression
from pilotage_plugins.backup.progress import BackupListener
from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.source import Source
from pilotage_plugins.tree.exclusion import literal_pattern
from pilotage_plugins.tree.manifest import ManifestTotals


@dataclass(frozen=True, slots=True)
class Saving:
    """How a snapshot is made; it is found again by its tags."""

    tags: tuple[str, ...]
    compression: Compression
    one_file_system: bool = False


async def save(ctx: StepContext, restic: Restic, source: Source, how: Saving) -> BackupListener:
    """Have restic make a snapshot of a surveyed source; what it could not read stands in the listener."""
    listener = BackupListener(ctx, time.time(), source.totals.files, source.totals.bytes)
    arguments: list[str | bytes] = ["backup", "--json", "--host", ctx.host, "--tag", ",".join(how.tags)]
    arguments += ["--compression", how.compression.value]
    arguments += ["--one-file-system"] if how.one_file_system else []
    for path in source.excluded:
        arguments += [b"--exclude=" + literal_pattern(path)]
    started = time.monotonic()
    result = await restic.attempt(
        *arguments, b"--", *source.paths, on_line=listener.stdout, on_error_line=listener.stderr
    )
    explained = listener.failed or listener.vanished
    if result.exit_code and not (result.exit_code == EXIT_PARTIAL and explained):
        raise failure(result, "backing up", restic.params.repository)
    ctx.log(f"restic took {time.monotonic() - started:.1f} s")
    return listener


async def describe_saved(ctx: StepContext, restic: Restic, source: Source, snapshot_id: str) -> ManifestTotals:
    """Describe what a snapshot was made of, and store that beside it; it also lies in `scratch/manifest` then."""
    ctx.progress(None, "describing what was backed up")
    manifest = ctx.scratch / "manifest"
    header: dict[str, Any] = {
        "snapshot": snapshot_id,
        "host": ctx.host,
        "roots": [os.fsdecode(path) for path in source.paths],
    }
    totals = await asyncio.to_thread(source.describe, header, manifest)
    await store_manifest(ctx, restic, snapshot_id, manifest, totals)
    return totals
