"""`service.start`, `service.stop`, `service.restart`, `service.reload`: what runs now."""

import asyncio
from datetime import timedelta

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Duration,
    Effect,
    Preview,
    ProbeAnswer,
    StepContext,
    StepOutputs,
    StepType,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.note import shelf
from pilotage_plugins.service.unit import (
    UnitName,
    UnitParams,
    UnitState,
    availability,
    failed_unit,
    full_name,
    journal,
    look,
    tell,
)


class StartParams(UnitParams):
    """Which unit, and how long it must stay up to count as started."""

    unit: UnitName = Field(description="The unit: nginx, nginx.service, backup.timer")
    steady_for: Duration = Field(
        timedelta(seconds=1), description="It must still be up, in the same run, this long after its start"
    )


class ServiceOutputs(StepOutputs):
    """What was done: the unit before the first try, and after it."""

    unit: str
    changed: bool
    before: UnitState
    after: UnitState


class Begun(StepOutputs):
    """The note of a step run: the unit before its first attempt, and before the attempt `key`."""

    key: str
    before: UnitState
    last: UnitState


class _OnSystemd:
    async def available(self, ctx: StepContext) -> Availability:
        """Ask whether systemd runs this host."""
        return await availability()


class ServiceStart(_OnSystemd, StepType[StartParams, ServiceOutputs]):
    """Start a unit and see that it stays up; nothing happens when it is up already.

    A failure ends with the last lines of its journal. Undo stops it if it was not running before.
    """

    name = "service.start"
    effect = Effect.IDEMPOTENT
    Params = StartParams
    Outputs = ServiceOutputs

    async def preview(self, ctx: StepContext, params: StartParams) -> Preview:
        """Say whether it would be started."""
        return _preview(params.unit, await look(ctx, params.unit), "active")

    async def run(self, ctx: StepContext, params: StartParams) -> ServiceOutputs:
        """Start it."""
        now = await look(ctx, params.unit)
        before = await _remember(ctx, now, changing=not now.running)
        if not now.running:
            await tell(ctx, "start", unit=params.unit)
            now = await _steady(ctx, params.unit, params.steady_for.total_seconds())
        return ServiceOutputs(unit=params.unit, changed=not before.running, before=before, after=now)

    async def undo(self, ctx: StepContext, params: StartParams, outputs: ServiceOutputs) -> None:
        """Stop it if it was not running before."""
        await _give_back(ctx, outputs)


class ServiceStop(_OnSystemd, StepType[UnitParams, ServiceOutputs]):
    """Stop a unit; nothing happens when it does not run. What is enabled starts again with the host.

    Undo starts it again if it was running before.
    """

    name = "service.stop"
    effect = Effect.IDEMPOTENT
    Params = UnitParams
    Outputs = ServiceOutputs

    async def preview(self, ctx: StepContext, params: UnitParams) -> Preview:
        """Say whether it would be stopped."""
        return _preview(params.unit, await look(ctx, params.unit), "inactive")

    async def run(self, ctx: StepContext, params: UnitParams) -> ServiceOutputs:
        """Stop it."""
        now = await look(ctx, params.unit)
        up = now.active not in ("inactive", "failed")
        before = await _remember(ctx, now, changing=up)
        if up:
            await tell(ctx, "stop", unit=params.unit)
            now = await look(ctx, params.unit)
        changed = before.active not in ("inactive", "failed")
        return ServiceOutputs(unit=params.unit, changed=changed, before=before, after=now)

    async def undo(self, ctx: StepContext, params: UnitParams, outputs: ServiceOutputs) -> None:
        """Start it again if it was running before."""
        await _give_back(ctx, outputs)


class ServiceRestart(_OnSystemd, StepType[StartParams, ServiceOutputs]):
    """Restart a unit, or start it, and see that it stays up.

    After an interruption the unit's invocation tells whether it was restarted. Undo stops it if it was not running
    before; a restart itself cannot be taken back.
    """

    name = "service.restart"
    effect = Effect.PROBE
    Params = StartParams
    Outputs = ServiceOutputs

    async def preview(self, ctx: StepContext, params: StartParams) -> Preview:
        """Say what would be restarted."""
        now = await look(ctx, params.unit)
        note = "its files changed since systemd read them: systemctl daemon-reload first" if now.stale else ""
        change = Change(action=Action.RUN, subject=params.unit, before=_shown(now), after="restarted", note=note)
        return Preview(changes=(change,))

    async def run(self, ctx: StepContext, params: StartParams) -> ServiceOutputs:
        """Restart it."""
        now = await look(ctx, params.unit)
        before = await _remember(ctx, now, changing=True)
        await tell(ctx, "restart", unit=params.unit)
        after = await _steady(ctx, params.unit, params.steady_for.total_seconds())
        return ServiceOutputs(unit=params.unit, changed=True, before=before, after=after)

    async def undo(self, ctx: StepContext, params: StartParams, outputs: ServiceOutputs) -> None:
        """Stop it if it was not running before."""
        await _give_back(ctx, outputs)

    async def probe(self, ctx: StepContext, params: StartParams, key: str) -> ProbeAnswer[ServiceOutputs]:
        """Compare the unit's invocation with the one noted before the restart."""
        note = await asyncio.to_thread(shelf.find, key.rpartition("/")[0], Begun)
        if note is None or note.key != key:
            return ProbeAnswer.not_done("the attempt had not come to the restart: it left no note")
        now = await look(ctx, params.unit)
        if now.running and now.invocation != note.last.invocation:
            outputs = ServiceOutputs(unit=params.unit, changed=True, before=note.before, after=now)
            return ProbeAnswer.done(outputs, f"{params.unit} runs in a new invocation, {now.invocation}")
        if now.running and now.active == "active":
            return ProbeAnswer.not_done(f"{params.unit} still runs in the invocation from before, {now.invocation}")
        return ProbeAnswer.unknown(f"{params.unit} is {_shown(now)}: it was perhaps stopped and not started again")


class ReloadParams(UnitParams):
    """Which unit, and what to do when it cannot reload."""

    unit: UnitName = Field(description="The unit: nginx, nginx.service")
    or_restart: bool = Field(False, description="Restart it when it cannot reload; start it when it does not run")


class ServiceReload(_OnSystemd, StepType[ReloadParams, ServiceOutputs]):
    """Have a running unit read its configuration again. Check the configuration before: a reload cannot be undone."""

    name = "service.reload"
    effect = Effect.IDEMPOTENT
    Params = ReloadParams
    Outputs = ServiceOutputs

    async def preview(self, ctx: StepContext, params: ReloadParams) -> Preview:
        """Say what would be reloaded."""
        now = await look(ctx, params.unit)
        _must_run(params, now)
        return Preview(changes=(Change(action=Action.RUN, subject=params.unit, before=_shown(now), after="reloaded"),))

    async def run(self, ctx: StepContext, params: ReloadParams) -> ServiceOutputs:
        """Reload it."""
        before = await look(ctx, params.unit)
        _must_run(params, before)
        await tell(ctx, "reload-or-restart" if params.or_restart else "reload", unit=params.unit)
        after = await look(ctx, params.unit)
        if not after.running:
            raise failed_unit(params.unit, after, await journal(ctx, params.unit, 20))
        return ServiceOutputs(unit=params.unit, changed=True, before=before, after=after)


def _must_run(params: ReloadParams, now: UnitState) -> None:
    if not now.running and not params.or_restart:
        raise TargetFailed(f"{params.unit} does not run ({_shown(now)}): start it, or set or_restart: true")


async def _remember(ctx: StepContext, now: UnitState, *, changing: bool) -> UnitState:
    """Return the unit as it was before this step run's first attempt, noting it before anything is changed."""
    note = await asyncio.to_thread(shelf.find, ctx.step_run, Begun)
    before = note.before if note is not None else now
    if changing:
        begun = Begun(key=ctx.attempt_key, before=before, last=now)
        await asyncio.to_thread(shelf.keep, ctx.step_run, begun)
    return before


async def _give_back(ctx: StepContext, outputs: ServiceOutputs) -> None:
    """Bring the unit back to running or not, as it was."""
    if not outputs.changed:
        return
    unit = full_name(outputs.unit)
    now = await look(ctx, unit)
    if outputs.before.running != now.running:
        await tell(ctx, "start" if outputs.before.running else "stop", unit=unit)
    # A unit that had failed is left as stopped: its old failure is not put back.


async def _steady(ctx: StepContext, unit: str, seconds: float) -> UnitState:
    """Return the unit's state once it stayed up; a unit that ends well by its own nature (oneshot) counts as up."""
    started = await look(ctx, unit)
    if started.running and seconds:
        await ctx.sleep(seconds)
    now = await look(ctx, unit)
    ended_well = not started.running and started.active == "inactive" and started.result == "success"
    if ended_well or (now.running and now.invocation == started.invocation):
        return now
    if now.running:
        now = now.model_copy(update={"sub": f"{now.sub}, restarted by itself {now.restarts} times"})
    raise failed_unit(unit, now, await journal(ctx, unit, 20))


def _preview(unit: str, now: UnitState, wanted: str) -> Preview:
    right = now.running == (wanted == "active")
    action = Action.NONE if right else Action.UPDATE
    return Preview(changes=(Change(action=action, subject=unit, before=_shown(now), after=wanted),))


def _shown(state: UnitState) -> str:
    return f"{state.active} ({state.sub})"
