"""`package.plan` and `package.upgrade`: newer versions of what is installed."""

from datetime import timedelta

from pilotage_plugin_api import Availability, Duration, Effect, Preview, StepContext, StepOutputs, StepParams, StepType
from pydantic import Field

from pilotage_plugins.host.boot import reasons_to_reboot
from pilotage_plugins.package.apt import PackageName
from pilotage_plugins.package.change import (
    PackagesOutputs,
    carry_out,
    give_back,
    has_begun,
    mark_what_was_cut_off,
    must_not_remove,
    preview_with_units,
    units_to_restart,
)
from pilotage_plugins.package.choice import availability, looking, working
from pilotage_plugins.package.expected import ExpectedChange, must_be_as_planned
from pilotage_plugins.package.simulation import MOST_CHANGES
from pilotage_plugins.package.system import Conffiles, PackageManager, PlannedChange


class PlanParams(StepParams):
    """Which packages, and how far the upgrade may go."""

    packages: tuple[PackageName, ...] = Field((), max_length=500, description="Only these (all that are installed)")
    security_only: bool = Field(False, description="Only versions that come from a security archive")
    full: bool = Field(False, description="May remove packages to upgrade others (dist-upgrade)")
    refresh: bool = Field(True, description="Fetch the lists of packages first; a plan fetches them beside the host's")


class UpgradeParams(PlanParams):
    """Which packages, how far the upgrade may go, and how it behaves."""

    allow_remove: bool = Field(False, description="With `full`: really remove packages; refused otherwise")
    conffiles: Conffiles = Field(
        Conffiles.KEEP, description="Configuration files changed both here and in the new version: keep or replace ours"
    )
    lock_wait: Duration = Field(timedelta(minutes=2), description="How long to wait for another package program")
    expect: tuple[ExpectedChange, ...] | None = Field(
        None,
        max_length=MOST_CHANGES,
        description="The `changes` of package.plan: exactly these are made, and none when it would be others now",
    )


class PlanOutputs(StepOutputs):
    """What an upgrade would change, in the order of the work."""

    changes: list[PlannedChange]
    count: int
    security: int
    download_bytes: int
    restart: list[str] | None = Field(
        description="Units that run code of these packages and must restart; null when the agent may not look at all"
    )
    unfinished: list[str] = Field(description="Packages that an earlier run left half done; an upgrade finishes them")
    reboot_required: bool = Field(
        description="What was installed before asks for a reboot already: by its mark, or as a newer kernel"
    )


class _OnPackages:
    async def available(self, ctx: StepContext) -> Availability:
        """Ask which package manager the host has."""
        return await availability()


class PackagePlan(_OnPackages, StepType[PlanParams, PlanOutputs]):
    """Find out what an upgrade would change: versions, sizes, security, the way back, and the units that must restart.

    The host is left as it is: fresh lists are fetched into the attempt's own folder.
    """

    name = "package.plan"
    effect = Effect.READ
    Params = PlanParams
    Outputs = PlanOutputs

    async def run(self, ctx: StepContext, params: PlanParams) -> PlanOutputs:
        """Ask the package manager's own simulation, and the processes of the host."""
        manager = await looking(ctx, fresh=params.refresh)
        changes = await manager.with_details(await _newer(manager, params))
        return PlanOutputs(
            changes=changes,
            count=len(changes),
            security=sum(change.security for change in changes),
            download_bytes=sum(change.download_bytes for change in changes),
            restart=await units_to_restart(manager, changes),
            unfinished=await manager.unfinished(),
            reboot_required=await reasons_to_reboot(ctx) is not None,
        )


class PackageUpgrade(_OnPackages, StepType[UpgradeParams, PackagesOutputs]):
    """Upgrade installed packages to the newest versions that the host's repositories offer.

    It never asks; what an earlier run left half done is finished first. Undo installs the recorded versions again, as
    far as a repository still offers them; the preview says for which none does. Give it a generous timeout: dpkg is
    killed at its end, and the next run must repair.
    """

    name = "package.upgrade"
    effect = Effect.IDEMPOTENT
    Params = UpgradeParams
    Outputs = PackagesOutputs

    async def preview(self, ctx: StepContext, params: UpgradeParams) -> Preview:
        """Show what it would change, by the package manager's own simulation."""
        manager = await looking(ctx, fresh=params.refresh)
        changes = await manager.with_details(await _as_planned(manager, params, begun=False))
        must_not_remove(changes, allowed=params.allow_remove)
        broken = await manager.unfinished()
        note = f"finishes first what was cut off: {', '.join(broken)}"[:2000] if broken else ""
        return await preview_with_units(manager, changes, note)

    async def run(self, ctx: StepContext, params: UpgradeParams) -> PackagesOutputs:
        """See that it is what was planned, repair, plan again, and do that."""
        manager = working(ctx, params.lock_wait.total_seconds(), params.conffiles)
        if params.refresh:
            await manager.refresh()
        begun = await has_begun(ctx)
        if params.expect is not None and not begun:
            await manager.wait_for_others()
            await _as_planned(manager, params, begun=False)
        repaired = bool(await manager.finish())
        changes = await _as_planned(manager, params, begun=begun)
        must_not_remove(changes, allowed=params.allow_remove)
        return await carry_out(manager, changes, repaired)

    async def recover(self, ctx: StepContext, params: UpgradeParams, key: str) -> str:
        """Mark the dependencies that it brought, if it was cut off before that; the next attempt does the rest."""
        return await mark_what_was_cut_off(working(ctx, params.lock_wait.total_seconds()), key)

    async def undo(self, ctx: StepContext, params: UpgradeParams, outputs: PackagesOutputs) -> None:
        """Install the recorded versions again."""
        await give_back(working(ctx, params.lock_wait.total_seconds(), params.conffiles), outputs)


async def _newer(manager: PackageManager, params: PlanParams) -> list[PlannedChange]:
    return await manager.newer(params.packages, security_only=params.security_only, full=params.full)


async def _as_planned(manager: PackageManager, params: UpgradeParams, *, begun: bool) -> list[PlannedChange]:
    changes = await _newer(manager, params)
    if params.expect is not None:
        must_be_as_planned(params.expect, changes, await manager.installed(), begun=begun)
    return changes
