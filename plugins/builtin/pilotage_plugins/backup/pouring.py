"""Pouring a dump into the program that loads it: that is done only when all of the dump was good."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pilotage_plugin_api import ProgramResult, StepCancelled, StepContext

from pilotage_plugins.backup.dump import Dump
from pilotage_plugins.backup.signals import EitherSignal

Loader = Callable[[StepContext, int], Awaitable[ProgramResult]]
"""Runs a program with this descriptor as its standard input."""


async def pour(ctx: StepContext, dump: Dump, load: Loader, *, whole: bool = True) -> ProgramResult:
    """Run the loader on the dump and return how it ended. Without `whole` the loader may be done before the dump is.

    When the dump fails, the loader is stopped before it can see the end of its input, and the dump's failure is raised.
    A loader that ended well has ended too early all the same when the rest of the dump is not good.
    """
    source, sink = os.pipe()
    pump = asyncio.create_task(_pump(dump, sink))
    try:
        try:
            result = await load(replace(ctx, cancel=EitherSignal(ctx.cancel, dump.failed)), source)
        finally:
            os.close(source)
        if result.exit_code == 0 and whole:
            await _either(pump, dump.failed)
    except StepCancelled:
        if dump.failure is None or ctx.cancel.is_set():
            raise
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        await dump.stop()
    if dump.failure is not None:
        raise dump.failure
    return result


async def _pump(dump: Dump, sink: int) -> None:
    """Write the dump to the pipe, and read it to its end also when nobody takes it any more."""
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(sink, "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    taken = True
    try:
        async for chunk in dump.stream():
            if not taken:
                continue
            try:
                writer.write(chunk)
                await writer.drain()
            except (BrokenPipeError, ConnectionResetError):
                taken = False
    finally:
        transport.close()


async def _either(pump: "asyncio.Task[None]", failed: asyncio.Event) -> None:
    waiting = asyncio.ensure_future(failed.wait())
    try:
        await asyncio.wait({pump, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
    finally:
        waiting.cancel()
