"""`package.install`: packages that should be there."""

from datetime import timedelta

from pilotage_plugin_api import Availability, Duration, Effect, Preview, StepContext, StepParams, StepType
from pydantic import Field

from pilotage_plugins.package.apt import PackageRequest
from pilotage_plugins.package.change import (
    PackagesOutputs,
    carry_out,
    give_back,
    mark_what_was_cut_off,
    must_not_remove,
    preview_with_units,
)
from pilotage_plugins.package.choice import availability, looking, working
from pilotage_plugins.package.system import Conffiles, PackageManager, PlannedChange


class InstallParams(StepParams):
    """Which packages."""

    packages: tuple[PackageRequest, ...] = Field(
        min_length=1,
        max_length=2000,
        description="Names, or name=version for exactly that version: [nginx, curl=7.88.1]",
    )
    recommends: bool = Field(False, description="Install what they recommend, too")
    skip_missing: bool = Field(
        False, description="Leave out, and name in `left_out`, what no archive of this host has; else it is an error"
    )
    refresh: bool = Field(True, description="Fetch the lists of packages first, if anything is to be installed")
    allow_downgrade: bool = Field(False, description="A version asked for may be older than the installed one")
    allow_remove: bool = Field(False, description="May remove packages that are in the way; refused otherwise")
    conffiles: Conffiles = Field(Conffiles.KEEP, description="Configuration files changed here: keep or replace ours")
    lock_wait: Duration = Field(timedelta(minutes=2), description="How long to wait for another package program")


class InstallOutputs(PackagesOutputs):
    """`left_out`: what was asked for, is not installed, and is in no archive of this host."""

    left_out: tuple[str, ...] = ()


class PackageInstall(StepType[InstallParams, InstallOutputs]):
    """Make sure that packages are installed; one that is there is left at its version unless another is asked for.

    It never asks; what an earlier run left half done is finished first. Undo removes what was new (their configuration
    stays) and installs the recorded versions of the others again.
    """

    name = "package.install"
    effect = Effect.IDEMPOTENT
    Params = InstallParams
    Outputs = InstallOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Ask which package manager the host has."""
        return await availability()

    async def preview(self, ctx: StepContext, params: InstallParams) -> Preview:
        """Show what it would change, by the package manager's own simulation."""
        manager = await looking(ctx)
        missing = await _missing(manager, params)
        if missing and params.refresh:
            manager = await looking(ctx, fresh=True)
        left_out = await left_out_of(manager, params, missing)
        changes = await manager.with_details(await _chosen(manager, params, missing, left_out))
        note = f"in no archive, so left out: {', '.join(left_out)}"[:4096] if left_out else ""
        return await preview_with_units(manager, changes, note)

    async def run(self, ctx: StepContext, params: InstallParams) -> InstallOutputs:
        """Repair, plan again, and install."""
        manager = working(ctx, params.lock_wait.total_seconds(), params.conffiles)
        repaired = bool(await manager.finish())
        missing = await _missing(manager, params)
        if params.refresh and missing:
            await manager.refresh()
        left_out = await left_out_of(manager, params, missing)
        if left_out:
            ctx.log(f"in no archive of this host, so left out: {', '.join(left_out)}")
        changes = await _chosen(manager, params, missing, left_out)
        asked = [request.partition("=")[0] for request in params.packages if request not in left_out]
        done = await carry_out(manager, changes, repaired, asked=asked, downgrade=params.allow_downgrade)
        return InstallOutputs(**dict(done), left_out=tuple(left_out))

    async def recover(self, ctx: StepContext, params: InstallParams, key: str) -> str:
        """Mark the dependencies that it brought, if it was cut off before that; the next attempt does the rest."""
        return await mark_what_was_cut_off(working(ctx, params.lock_wait.total_seconds()), key)

    async def undo(self, ctx: StepContext, params: InstallParams, outputs: InstallOutputs) -> None:
        """Remove what was new, and bring back the recorded versions."""
        await give_back(working(ctx, params.lock_wait.total_seconds(), params.conffiles), outputs)


async def _missing(manager: PackageManager, params: InstallParams) -> list[str]:
    now = await manager.installed()
    missing = []
    for request in params.packages:
        name, _, version = request.partition("=")
        if name not in now or (version and now[name] != version):
            missing.append(request)
    return missing


async def left_out_of(manager: PackageManager, params: InstallParams, missing: list[str]) -> list[str]:
    """Return the requests that no archive can fulfil, if they are to be left out."""
    if not params.skip_missing:
        return []
    wanted = {request: request.partition("=")[0].partition(":")[0] for request in missing}
    offered = await manager.offered(wanted.values())
    return [
        request
        for request, name in wanted.items()
        if not offered.get(name) or ("=" in request and request.partition("=")[2] not in offered[name])
    ]


async def _chosen(
    manager: PackageManager, params: InstallParams, missing: list[str], left_out: list[str]
) -> list[PlannedChange]:
    requests = [request for request in missing if request not in left_out]
    changes = await manager.wanted(requests, recommends=params.recommends, downgrade=params.allow_downgrade)
    must_not_remove(changes, allowed=params.allow_remove)
    return changes
