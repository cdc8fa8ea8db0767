"""`package.hold` and `package.repair`: packages that stay as they are, and runs that were cut off."""

import asyncio

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
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
from pilotage_plugins.package.apt import Apt, Conffiles, PackageName, at_work, availability
from pilotage_plugins.package.change import finish_what_was_cut_off, installed_versions, unfinished


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
        """Ask whether the host has apt."""
        return await availability()

    async def preview(self, ctx: StepContext, params: HoldParams) -> Preview:
        """Say whose hold would change."""
        todo = await _todo(Apt(ctx), params)
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
        apt = Apt(ctx)
        todo = await _todo(apt, params)
        noted = await asyncio.to_thread(shelf.find, ctx.step_run, _Note)
        changed = sorted({*todo, *(noted.changed if noted else ())})
        if todo:
            await asyncio.to_thread(shelf.keep, ctx.step_run, _Note(changed=changed))
            await apt.quiet("apt-mark", "hold" if params.held else "unhold", *todo)
        return HoldOutputs(changed=changed)

    async def undo(self, ctx: StepContext, params: HoldParams, outputs: HoldOutputs) -> None:
        """Turn them back."""
        if outputs.changed:
            await Apt(ctx).quiet("apt-mark", "unhold" if params.held else "hold", *outputs.changed)


async def _todo(apt: Apt, params: HoldParams) -> list[str]:
    now = await installed_versions(apt)
    if missing := [name for name in params.packages if name not in now]:
        raise TargetFailed(f"{', '.join(missing)} is not installed on this host, so it cannot be held")
    held = set((await apt.quiet("apt-mark", "showhold")).split())
    return [name for name in params.packages if (name in held) != params.held]


class RepairParams(StepParams):
    """How far the repair may go."""

    fix_dependencies: bool = Field(False, description="Also install or remove packages until dependencies are met")
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
        """Ask whether the host has apt."""
        return await availability()

    async def preview(self, ctx: StepContext, params: RepairParams) -> Preview:
        """Name the packages that are half done."""
        broken = await unfinished(Apt(ctx))
        if not broken:
            return Preview(changes=(Change(action=Action.NONE, subject="packages", note="all are whole"),))
        return Preview(
            changes=tuple(Change(action=Action.UPDATE, subject=name, after="configured") for name in broken[:1000]),
            complete=not params.fix_dependencies,
            note="apt decides in the run which packages meet the dependencies" if params.fix_dependencies else "",
        )

    async def run(self, ctx: StepContext, params: RepairParams) -> RepairOutputs:
        """Configure them."""
        apt = Apt(ctx, at_work(60, params.conffiles))
        noted = await asyncio.to_thread(shelf.find, ctx.step_run, _Note)
        broken = await unfinished(apt)
        named = sorted({*broken, *(noted.changed if noted else ())})
        if broken:
            await asyncio.to_thread(shelf.keep, ctx.step_run, _Note(changed=named))
        if params.fix_dependencies:
            await apt.get("-y", "--fix-broken", "install")
        await finish_what_was_cut_off(apt)
        if left := await unfinished(apt):
            raise TargetFailed(f"{', '.join(left[:20])} is still not whole: dpkg --audit says why")
        return RepairOutputs(unfinished=named)
