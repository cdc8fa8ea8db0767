"""`package.install`: packages that should be there."""

import asyncio
from datetime import timedelta

from pilotage_plugin_api import Availability, Duration, Effect, Preview, StepContext, StepParams, StepType
from pydantic import Field

from pilotage_plugins.package.apt import LOOKING, Apt, Conffiles, PackageRequest, at_work, availability, beside
from pilotage_plugins.package.change import (
    PackagesOutputs,
    carry_out,
    finish_what_was_cut_off,
    fresh,
    give_back,
    installed_versions,
    preview_of,
)
from pilotage_plugins.package.simulation import PlannedChange, must_not_remove, simulate, with_details


class InstallParams(StepParams):
    """Which packages."""

    packages: tuple[PackageRequest, ...] = Field(
        min_length=1,
        max_length=2000,
        description="Names, or name=version for exactly that version: [nginx, curl=7.88.1]",
    )
    recommends: bool = Field(False, description="Install what they recommend, too")
    refresh: bool = Field(True, description="Fetch the lists of packages first, if anything is to be installed")
    allow_downgrade: bool = Field(False, description="A version asked for may be older than the installed one")
    allow_remove: bool = Field(False, description="May remove packages that are in the way; refused otherwise")
    conffiles: Conffiles = Field(Conffiles.KEEP, description="Configuration files changed here: keep or replace ours")
    lock_wait: Duration = Field(timedelta(minutes=2), description="How long to wait for another package program")


class PackageInstall(StepType[InstallParams, PackagesOutputs]):
    """Make sure that packages are installed; one that is there is left at its version unless another is asked for.

    It never asks; what an earlier run left half done is finished first. Undo removes what was new (their configuration
    stays) and installs the recorded versions of the others again.
    """

    name = "package.install"
    effect = Effect.IDEMPOTENT
    Params = InstallParams
    Outputs = PackagesOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Ask whether the host has apt."""
        return await availability()

    async def preview(self, ctx: StepContext, params: InstallParams) -> Preview:
        """Show apt's simulation."""
        apt = Apt(ctx, LOOKING)
        missing = await _missing(apt, params)
        if missing and params.refresh:
            apt = Apt(ctx, await asyncio.to_thread(beside, ctx.scratch))
            await apt.get("-o", "APT::Update::Error-Mode=any", "update")
        return preview_of(await with_details(apt, await _chosen(apt, params, missing)))

    async def run(self, ctx: StepContext, params: InstallParams) -> PackagesOutputs:
        """Repair, plan again, and install."""
        options = at_work(params.lock_wait.total_seconds(), params.conffiles)
        apt = Apt(ctx, options)
        repaired = bool(await finish_what_was_cut_off(apt))
        missing = await _missing(apt, params)
        apt = await fresh(ctx, options, refresh=params.refresh and bool(missing))
        return await carry_out(apt, await _chosen(apt, params, missing), repaired, downgrade=params.allow_downgrade)

    async def undo(self, ctx: StepContext, params: InstallParams, outputs: PackagesOutputs) -> None:
        """Remove what was new, and bring back the recorded versions."""
        await give_back(Apt(ctx, at_work(params.lock_wait.total_seconds(), params.conffiles)), outputs.changes)


async def _missing(apt: Apt, params: InstallParams) -> list[str]:
    now = await installed_versions(apt)
    missing = []
    for request in params.packages:
        name, _, version = request.partition("=")
        if name not in now or (version and now[name] != version):
            missing.append(request)
    return missing


async def _chosen(apt: Apt, params: InstallParams, missing: list[str]) -> list[PlannedChange]:
    if not missing:
        return []
    flags = ["--install-recommends" if params.recommends else "--no-install-recommends"]
    flags += ["--allow-downgrades"] if params.allow_downgrade else []
    changes = await simulate(apt, "-y", *flags, "install", *missing)
    must_not_remove(changes, allowed=params.allow_remove)
    return changes
