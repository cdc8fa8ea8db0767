"""What apt reports on its status descriptor, turned into the attempt's progress."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final

from pilotage_plugin_api import StepContext

DOWNLOAD_SHARE: Final = 0.3


def read_status(line: str) -> tuple[float | None, str] | None:
    """Read one line of APT::Status-Fd: a fraction of the whole and a text; None for what is no progress.

    Downloads count as the first three tenths. apt's format: `pmstatus:PACKAGE:PERCENT:TEXT`, and `dlstatus` alike.
    """
    kind, _, rest = line.partition(":")
    subject, _, rest = rest.partition(":")
    percent, _, text = rest.partition(":")
    if kind in ("pmerror", "pmconffile"):
        return None, f"{subject}: {text}"
    try:
        part = min(100.0, max(0.0, float(percent))) / 100
    except ValueError:
        return None
    if kind == "dlstatus":
        return part * DOWNLOAD_SHARE, text
    if kind == "pmstatus":
        return DOWNLOAD_SHARE + part * (1 - DOWNLOAD_SHARE), text
    return None


@contextlib.asynccontextmanager
async def status_pipe(ctx: StepContext) -> AsyncIterator[int]:
    """Give a descriptor for APT::Status-Fd; what is written to it becomes progress."""
    reading, writing = os.pipe()
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader(limit=1 << 16)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", buffering=0)
    )
    follower = asyncio.create_task(_follow(ctx, stream))
    try:
        yield writing
    finally:
        os.close(writing)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(follower), 1)
        follower.cancel()
        transport.close()


async def _follow(ctx: StepContext, stream: asyncio.StreamReader) -> None:
    with contextlib.suppress(ValueError):
        while line := await stream.readline():
            if report := read_status(line.decode("utf-8", "replace").rstrip("\n")):
                ctx.progress(*report)
