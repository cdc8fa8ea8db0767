"""`host.reboot`: an attempt that outlives the host's own restart."""

import asyncio
import contextlib
import os
import signal
import time
from datetime import timedelta
from typing import Final

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Duration,
    Effect,
    Preview,
    ProbeAnswer,
    StepContext,
    StepFailed,
    StepOutputs,
    StepParams,
    StepType,
)
from pydantic import Field

from pilotage_plugins.host.boot import boot_identity, kernel, reasons_to_reboot, reboot_is_under_way, settled
from pilotage_plugins.host.kernel import waiting_kernel
from pilotage_plugins.note import shelf
from pilotage_plugins.service.unit import UnitName, availability, look

NEWEST: Final = "newest"


class RebootParams(StepParams):
    """When to reboot, and what must be there afterwards."""

    only_if_required: bool = Field(False, description="Do nothing unless installed packages ask for a reboot")
    kernel: str | None = Field(
        None,
        max_length=200,
        description="The release that must run afterwards (uname -r); `newest`: that no newer one of its kind waits",
    )
    services: tuple[UnitName, ...] = Field((), max_length=50, description="Units that must be up afterwards")
    down_within: Duration = Field(timedelta(minutes=5), description="Fail when the host has not gone down by then")
    up_within: Duration = Field(timedelta(minutes=3), description="How long systemd may take to start everything")


class RebootOutputs(StepOutputs):
    """What came of it. `seconds` is from the order to the answer, by the host's clock; 0 without a reboot."""

    rebooted: bool
    kernel_before: str
    kernel: str
    state: str
    seconds: float


class Ordered(StepOutputs):
    """The note of an attempt: from which boot it was ordered, when (Unix time), and whether it was needed at all."""

    key: str
    boot: str
    kernel: str
    at: float
    needed: bool = True


class HostReboot(StepType[RebootParams, RebootOutputs]):
    """Reboot the host, and see that it came back with the wanted kernel and services.

    The attempt goes down with the host. When the agent is back, it asks the probe, which tells the new boot from the
    old one, waits until systemd has started everything, and checks; what is not as wanted then is put before a person.
    A reboot that was ordered cannot be cancelled.
    """

    name = "host.reboot"
    effect = Effect.PROBE
    Params = RebootParams
    Outputs = RebootOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Ask whether systemd runs this host, and whether we may order a reboot."""
        if os.geteuid() != 0:
            return Availability(available=False, reason="the agent is not root, so it may not reboot the host")
        return await availability()

    async def preview(self, ctx: StepContext, params: RebootParams) -> Preview:
        """Say whether it would reboot, and why."""
        asking = await reasons_to_reboot(ctx)
        if params.only_if_required and asking is None:
            return Preview(changes=(Change(action=Action.NONE, subject=ctx.host, note="nothing asks for a reboot"),))
        for unit in params.services:
            await look(ctx, unit)
        note = f"asked for by {', '.join(asking[:50])}" if asking else ""
        change = Change(action=Action.RUN, subject=ctx.host, before=f"kernel {kernel()}", after="rebooted", note=note)
        return Preview(changes=(change,))

    async def run(self, ctx: StepContext, params: RebootParams) -> RebootOutputs:
        """Note this boot, order the reboot, and go down with the host."""
        needed = not params.only_if_required or await reasons_to_reboot(ctx) is not None
        note = Ordered(key=ctx.attempt_key, boot=boot_identity(), kernel=kernel(), at=time.time(), needed=needed)
        if needed:
            for unit in params.services:
                await look(ctx, unit)
        await asyncio.to_thread(shelf.keep, ctx.step_run, note)
        if not needed:
            ctx.log("nothing asks for a reboot")
            return _without(note)
        # From here on the host's shutdown may end us at any moment, and that must not look like a cancellation.
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctx.progress(None, "rebooting")
        result = await ctx.program(("systemctl", "--no-ask-password", "reboot"))
        if result.exit_code != 0:
            raise StepFailed(f"the reboot was not accepted: {result.stderr[-1000:].decode('utf-8', 'replace').strip()}")
        await ctx.sleep(params.down_within.total_seconds())
        raise StepFailed(f"the host has not gone down within {params.down_within}: what blocks it? systemctl list-jobs")

    async def probe(self, ctx: StepContext, params: RebootParams, key: str) -> ProbeAnswer[RebootOutputs]:
        """Tell the boots apart, and check what must be there afterwards."""
        note = await asyncio.to_thread(shelf.find, key.rpartition("/")[0], Ordered)
        if note is None or note.key != key:
            return ProbeAnswer.not_done("the attempt had not come to the reboot: it left no note")
        if not note.needed:
            return ProbeAnswer.done(_without(note), "nothing asked for a reboot")
        if boot_identity() == note.boot:
            if await reboot_is_under_way(ctx):
                return ProbeAnswer.unknown("the reboot is under way: ask again when the host is back")
            return ProbeAnswer.not_done("the host still runs in the boot from before, and is not going down")
        state = await settled(ctx, params.up_within.total_seconds())
        wrong = await _wrong(ctx, params)
        if wrong or state in ("initializing", "starting", "stopping"):
            return ProbeAnswer.unknown(f"the host came back ({state}), but {'; '.join(wrong) or 'is not up yet'}")
        outputs = RebootOutputs(
            rebooted=True,
            kernel_before=note.kernel,
            kernel=kernel(),
            state=state,
            seconds=round(max(0.0, time.time() - note.at), 1),
        )
        return ProbeAnswer.done(outputs, f"a new boot, {boot_identity()}, system {state}")


async def _wrong(ctx: StepContext, params: RebootParams) -> list[str]:
    wrong = []
    if params.kernel == NEWEST:
        if waiting := await waiting_kernel(ctx):
            wrong.append(f"it runs the kernel {kernel()}, and {waiting} is installed")
    elif params.kernel is not None and params.kernel != kernel():
        wrong.append(f"it runs the kernel {kernel()}, not {params.kernel}")
    for unit in params.services:
        state = await look(ctx, unit)
        if not state.running:
            wrong.append(f"{unit} is {state.active} ({state.sub})")
    return wrong


def _without(note: Ordered) -> RebootOutputs:
    return RebootOutputs(rebooted=False, kernel_before=note.kernel, kernel=note.kernel, state="running", seconds=0.0)
