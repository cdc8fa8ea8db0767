"""`package.hold` and `package.repair`: packages that stay as they are, and runs that were cut off."""

import asyncio
from datetime import timedelta

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Duration,
    Effect,
    Preview,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.note import shelf
from pilotage_plugins.package.apt import PackageName
from pilotage_plugins.package.choice import availability, looking, working
from pilotage_plugins.package.system import Conffiles, PackageManager

LOCK_WAIT = 60.0


class HoldParams(StepParams):
    """Which packages, and whether they are held or let go."""

    packages: tuple[PackageName, ...] = Field(min_length=1, max_length=500, description="Installed packages")
    held: bool = Field(True, description="false lets them be upgraded again")


class HoldOutputs(StepOutputs):
    """The packages whose hold was changed."""

    changed: list[str]


class _Note(StepOutputs):
    changed: list[str]


class PackageHold(StepType[HoldParams, HoldOutputs]):
    """Hold packages at their versions, so that no upgrade touches them, or let them go with `held: false`.

    Undo turns back those that it changed.
    """

    name = "package.hold"
    effect = Effect.IDEMPOTENT
    Params = HoldParams
    Outputs = HoldOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Ask which package manager the host has."""
        return await availability()

    async def preview(self, ctx: StepContext, params: HoldParams) -> Preview:
        """Say whose hold would change."""
        todo = await _todo(await looking(ctx), params)
        words = ("not held", "held") if params.held else ("held", "not held")
        return Preview(
            changes=tuple(
                Change(
                    action=Action.UPDATE if name in todo else Action.NONE,
                    subject=name,
                    before=words[0] if name in todo else words[1],
                    after=words[1],
                )
                for name in params.packages
            )
        )

    async def run(self, ctx: StepContext, params: HoldParams) -> HoldOutputs:
        """Change their hold."""
        manager = working(ctx, LOCK_WAIT)
        todo = await _todo(manager, params)
        noted = await asyncio.to_thread(shelf.find, ctx.step_run, _Note)
        changed = sorted({*todo, *(noted.changed if noted else ())})
        if todo:
            await asyncio.to_thread(shelf.keep, ctx.step_run, _Note(changed=changed))
            await manager.hold(todo, held=params.held)
        return HoldOutputs(changed=changed)

    async def undo(self, ctx: StepContext, params: HoldParams, outputs: HoldOutputs) -> None:
        """Turn them back."""
        if outputs.changed:
            await working(ctx, LOCK_WAIT).hold(outputs.changed, held=not params.held)


async def _todo(manager: PackageManager, params: HoldParams) -> list[str]:
    now = await manager.installed()
    if missing := [name for name in params.packages if name not in now]:
        raise TargetFailed(f"{', '.join(missing)} is not installed on this host, so it cannot be held")
    held = await manager.held()
    return [name for name in params.packages if (name in held) != params.held]


class RepairParams(StepParams):
    """How far the repair may go."""

    fix_dependencies: bool = Field(False, description="Also install or remove packages until dependencies are met")
    lock_wait: Duration = Field(timedelta(minutes=2), description="How long to wait for another package program")
    conffiles: Conffiles = Field(
        Conffiles.KEEP, description="Configuration files changed both here and in the new version: keep or replace ours"
    )


class RepairOutputs(StepOutputs):
    """The packages that were half done before."""

    unfinished: list[str]


class PackageRepair(StepType[RepairParams, RepairOutputs]):
    """Finish what an earlier run of the package programs left half done (dpkg --configure -a).

    Nothing happens when all packages are whole. It fails, naming them, when some still are not.
    """

    name = "package.repair"
    effect = Effect.IDEMPOTENT
    Params = RepairParams
    Outputs = RepairOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Ask which package manager the host has."""
        return await availability()

    async def preview(self, ctx: StepContext, params: RepairParams) -> Preview:
        """Name the packages that are half done."""
        broken = await (await looking(ctx)).unfinished()
        if not broken:
            return Preview(changes=(Change(action=Action.NONE, subject="packages", note="all are whole"),))
        return Preview(
            changes=tuple(Change(action=Action.UPDATE, subject=name, after="configured") for name in broken[:1000]),
            complete=not params.fix_dependencies,
            note="it is decided in the run which packages meet the dependencies" if params.fix_dependencies else "",
        )

    async def run(self, ctx: StepContext, params: RepairParams) -> RepairOutputs:
        """Configure them."""
        manager = working(ctx, params.lock_wait.total_seconds(), params.conffiles)
        noted = await asyncio.to_thread(shelf.find, ctx.step_run, _Note)
        await manager.wait_for_others()
        broken = await manager.unfinished()
        named = sorted({*broken, *(noted.changed if noted else ())})
        if broken:
            await asyncio.to_thread(shelf.keep, ctx.step_run, _Note(changed=named))
        if params.fix_dependencies:
            await manager.mend()
        await manager.finish()
        if left := await manager.unfinished():
            raise TargetFailed(f"{', '.join(left[:20])} is still not whole: dpkg --audit says why")
        return RepairOutputs(unfinished=named)
