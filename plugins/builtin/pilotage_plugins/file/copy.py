"""`file.copy`: a file of the host at another path."""

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pilotage_plugin_api import Effect, Preview, StepContext, StepFailed, StepType, TargetFailed
from pydantic import Field

from pilotage_plugins.file.arrival import bring, take_away
from pilotage_plugins.file.previous import read_previous, sha256_of
from pilotage_plugins.file.wish import FilePath, PlacedOutputs, WishParams, is_right, owners, preview_placing

CHUNK: Final = 1024 * 1024


class FileCopyParams(WishParams):
    """Which file, and what its copy should be."""

    source: FilePath = Field(description="The file to copy, on the same host")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="What the content must be; any other is refused before anything is replaced"
    )


class FileCopyOutputs(PlacedOutputs):
    """What was done; `previous` feeds the undo."""


class FileCopy(StepType[FileCopyParams, FileCopyOutputs]):
    """Copy a file of the host to another path, whole or not at all; nothing happens when it is there already.

    The content is checked by its SHA-256 on its way. Undo puts back what was there (at most 32 KiB are kept for that),
    or removes the copy. Folders are not made, links are not followed.
    """

    name = "file.copy"
    effect = Effect.IDEMPOTENT
    Params = FileCopyParams
    Outputs = FileCopyOutputs

    async def preview(self, ctx: StepContext, params: FileCopyParams) -> Preview:
        """Say what the copy would replace."""
        return await asyncio.to_thread(_preview, params)

    async def run(self, ctx: StepContext, params: FileCopyParams) -> FileCopyOutputs:
        """Copy it."""
        sha256, size = await asyncio.to_thread(_look, params)

        def content() -> Iterator[bytes]:
            """Read the source again; what changed meanwhile would not be what we looked at."""
            done = 0
            with Path(params.source).open("rb") as source:
                while chunk := source.read(CHUNK):
                    ctx.checkpoint()
                    done += len(chunk)
                    ctx.progress(done / max(size, done), f"{done} of {size} bytes")
                    yield chunk
            if sha256_of(Path(params.source)) != sha256:
                raise StepFailed(f"{params.source!r} was changed while it was copied: copy it when nobody writes to it")

        return FileCopyOutputs(**dict(await bring(ctx, params, sha256, size, content)))

    async def undo(self, ctx: StepContext, params: FileCopyParams, outputs: FileCopyOutputs) -> None:
        """Put back what was there."""
        await asyncio.to_thread(take_away, params, outputs, ctx.step_run)


def _look(params: FileCopyParams) -> tuple[str, int]:
    """Return the SHA-256 and the size of the source; raises TargetFailed when it is no file, or another content."""
    source = Path(params.source)
    try:
        status = os.lstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise TargetFailed(f"{params.source!r} is no regular file: only those are copied")
        sha256 = sha256_of(source)
    except OSError as error:
        raise TargetFailed(f"cannot read {params.source!r}: {error.strerror}") from error
    if params.sha256 is not None and sha256 != params.sha256:
        raise TargetFailed(f"{params.source!r} has the SHA-256 {sha256}, not {params.sha256}: it was not copied")
    return sha256, status.st_size


def _preview(params: FileCopyParams) -> Preview:
    path = Path(params.path)
    if not path.parent.is_dir():
        raise TargetFailed(f"there is no folder {str(path.parent)!r}")
    sha256, size = _look(params)
    now = read_previous(path, keep=False)
    if not is_right(now, sha256, params.mode, *owners(params)):
        read_previous(path, keep=params.keep_previous)
    return preview_placing(params, now, sha256, size, None)
