"""`service.enable`, `service.disable`: what starts with the host."""

import asyncio
from typing import Final

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Effect,
    Preview,
    StepContext,
    StepOutputs,
    StepType,
    TargetFailed,
)

from pilotage_plugins.note import shelf
from pilotage_plugins.service.unit import UnitParams, UnitState, availability, full_name, look, tell

_ENABLED: Final = frozenset({"enabled", "enabled-runtime", "linked", "linked-runtime", "alias"})
_FIXED: Final = frozenset({"static", "indirect", "generated", "transient", ""})


class EnablementOutputs(StepOutputs):
    """What was done; `before` and `after` are systemd's words, such as `enabled` and `disabled`."""

    unit: str
    changed: bool
    before: str
    after: str


class _Before(StepOutputs):
    enabled: str


class _Enablement:
    async def available(self, ctx: StepContext) -> Availability:
        """Ask whether systemd runs this host."""
        return await availability()


class ServiceEnable(_Enablement, StepType[UnitParams, EnablementOutputs]):
    """Have a unit start with the host; it is not started now (service.start does that).

    Undo disables it if it was disabled before.
    """

    name = "service.enable"
    effect = Effect.IDEMPOTENT
    Params = UnitParams
    Outputs = EnablementOutputs

    async def preview(self, ctx: StepContext, params: UnitParams) -> Preview:
        """Say whether it is enabled."""
        return _preview(params.unit, await look(ctx, params.unit), wanted=True)

    async def run(self, ctx: StepContext, params: UnitParams) -> EnablementOutputs:
        """Enable it."""
        return await _set(ctx, params.unit, wanted=True)

    async def undo(self, ctx: StepContext, params: UnitParams, outputs: EnablementOutputs) -> None:
        """Disable it if it was disabled before."""
        await _give_back(ctx, outputs)


class ServiceDisable(_Enablement, StepType[UnitParams, EnablementOutputs]):
    """Have a unit no longer start with the host; it is not stopped now (service.stop does that).

    Undo enables it if it was enabled before.
    """

    name = "service.disable"
    effect = Effect.IDEMPOTENT
    Params = UnitParams
    Outputs = EnablementOutputs

    async def preview(self, ctx: StepContext, params: UnitParams) -> Preview:
        """Say whether it is disabled."""
        return _preview(params.unit, await look(ctx, params.unit), wanted=False)

    async def run(self, ctx: StepContext, params: UnitParams) -> EnablementOutputs:
        """Disable it."""
        return await _set(ctx, params.unit, wanted=False)

    async def undo(self, ctx: StepContext, params: UnitParams, outputs: EnablementOutputs) -> None:
        """Enable it if it was enabled before."""
        await _give_back(ctx, outputs)


async def _set(ctx: StepContext, unit: str, *, wanted: bool) -> EnablementOutputs:
    now = await look(ctx, unit)
    _must_be_free(unit, now)
    noted = await asyncio.to_thread(shelf.find, ctx.step_run, _Before)
    before = now.enabled if noted is None else noted.enabled
    if _is_enabled(now) != wanted:
        await asyncio.to_thread(shelf.keep, ctx.step_run, _Before(enabled=before))
        await tell(ctx, "enable" if wanted else "disable", unit=unit, lines=0)
        now = await look(ctx, unit)
    return EnablementOutputs(unit=unit, changed=(before in _ENABLED) != wanted, before=before, after=now.enabled)


async def _give_back(ctx: StepContext, outputs: EnablementOutputs) -> None:
    unit = full_name(outputs.unit)
    if outputs.changed and _is_enabled(await look(ctx, unit)) != (outputs.before in _ENABLED):
        await tell(ctx, "enable" if outputs.before in _ENABLED else "disable", unit=unit, lines=0)


def _is_enabled(state: UnitState) -> bool:
    return state.enabled in _ENABLED


def _must_be_free(unit: str, state: UnitState) -> None:
    if state.enabled in _FIXED:
        kind = state.enabled or "without a unit file"
        raise TargetFailed(f"{unit} is {kind}: it has no [Install] section, so it can be neither enabled nor disabled")


def _preview(unit: str, now: UnitState, *, wanted: bool) -> Preview:
    _must_be_free(unit, now)
    action = Action.NONE if _is_enabled(now) == wanted else Action.UPDATE
    after = "enabled" if wanted else "disabled"
    return Preview(changes=(Change(action=action, subject=unit, before=now.enabled, after=after),))
