"""`package.plan` and `package.upgrade`: newer versions of what is installed."""

import asyncio
from datetime import timedelta

from pilotage_plugin_api import Availability, Duration, Effect, Preview, StepContext, StepOutputs, StepParams, StepType
from pydantic import Field

from pilotage_plugins.package.apt import LOOKING, Apt, Conffiles, PackageName, at_work, availability, beside
from pilotage_plugins.package.change import (
    PackagesOutputs,
    carry_out,
    finish_what_was_cut_off,
    fresh,
    give_back,
    preview_of,
    unfinished,
)
from pilotage_plugins.package.simulation import PlannedChange, bare, must_not_remove, simulate, with_details


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


class PlanOutputs(StepOutputs):
    """What an upgrade would change, in the order of the work."""

    changes: list[PlannedChange]
    count: int
    security: int
    download_bytes: int
    unfinished: list[str] = Field(description="Packages that an earlier run left half done; an upgrade finishes them")


class _OnApt:
    async def available(self, ctx: StepContext) -> Availability:
        """Ask whether the host has apt."""
        return await availability()


class PackagePlan(_OnApt, StepType[PlanParams, PlanOutputs]):
    """Find out which packages an upgrade would change: versions, sizes, security, and whether there is a way back.

    The host is left as it is: fresh lists are fetched into the attempt's own folder.
    """

    name = "package.plan"
    effect = Effect.READ
    Params = PlanParams
    Outputs = PlanOutputs

    async def run(self, ctx: StepContext, params: PlanParams) -> PlanOutputs:
        """Ask apt's simulation."""
        changes = await _planned(ctx, params)
        return PlanOutputs(
            changes=changes,
            count=len(changes),
            security=sum(change.security for change in changes),
            download_bytes=sum(change.download_bytes for change in changes),
            unfinished=await unfinished(Apt(ctx)),
        )


class PackageUpgrade(_OnApt, StepType[UpgradeParams, PackagesOutputs]):
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
        """Show apt's simulation."""
        changes = await _planned(ctx, params)
        must_not_remove(changes, allowed=params.allow_remove)
        broken = await unfinished(Apt(ctx))
        return preview_of(changes, f"finishes first what was cut off: {', '.join(broken)}"[:4096] if broken else "")

    async def run(self, ctx: StepContext, params: UpgradeParams) -> PackagesOutputs:
        """Repair, plan again, and do what was planned."""
        options = at_work(params.lock_wait.total_seconds(), params.conffiles)
        repaired = bool(await finish_what_was_cut_off(Apt(ctx, options)))
        apt = await fresh(ctx, options, refresh=params.refresh)
        changes = await _chosen(apt, params)
        must_not_remove(changes, allowed=params.allow_remove)
        return await carry_out(apt, changes, repaired)

    async def undo(self, ctx: StepContext, params: UpgradeParams, outputs: PackagesOutputs) -> None:
        """Install the recorded versions again."""
        await give_back(Apt(ctx, at_work(params.lock_wait.total_seconds(), params.conffiles)), outputs.changes)


async def _planned(ctx: StepContext, params: PlanParams) -> list[PlannedChange]:
    """Plan without touching the host, its lists of packages included."""
    apt = Apt(ctx, LOOKING)
    if params.refresh:
        apt = Apt(ctx, await asyncio.to_thread(beside, ctx.scratch))
        await apt.get("-o", "APT::Update::Error-Mode=any", "update", on_stdout=_nowhere)
    return await with_details(apt, await _chosen(apt, params))


async def _chosen(apt: Apt, params: PlanParams) -> list[PlannedChange]:
    """Return what should be changed; a choice among the packages is simulated again, with what it needs."""
    changes = await simulate(apt, *(("dist-upgrade",) if params.full else ("upgrade", "--with-new-pkgs")))
    if not params.packages and not params.security_only:
        return changes
    wanted = {bare(name) for name in params.packages}
    some = [
        change
        for change in changes
        if change.after
        and change.before
        and (not wanted or bare(change.package) in wanted)
        and (not params.security_only or change.security)
    ]
    if not some:
        return []
    return await simulate(
        apt, "--no-install-recommends", "install", *(f"{change.package}={change.after}" for change in some)
    )


def _nowhere(line: bytes) -> None:
    """Take a line that is not news."""
