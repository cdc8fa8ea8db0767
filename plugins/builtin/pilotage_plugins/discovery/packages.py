"""`discovery.packages`: what is installed on a host, and what somebody asked for."""

from pilotage_plugin_api import Availability, Effect, StepContext, StepOutputs, StepParams, StepType
from pydantic import Field

from pilotage_plugins.discovery.room import fitting
from pilotage_plugins.package.apt import LOOKING, Apt
from pilotage_plugins.package.choice import availability


class PackagesParams(StepParams):
    """Which packages."""

    manual: bool = Field(True, description="Only those that somebody asked for, not what they brought along")
    match: str = Field("", max_length=200, description="Only names that begin with this")


class FoundPackage(StepOutputs):
    """An installed package. `name` is what `package.install` takes, with `:arch` for a foreign one."""

    name: str
    version: str


class PackagesOutputs(StepOutputs):
    """By name; `left_out`: how many more there were than fit."""

    packages: tuple[FoundPackage, ...]
    left_out: int


class DiscoveryPackages(StepType[PackagesParams, PackagesOutputs]):
    """Find the installed packages of a host with their versions: those that were asked for, or all.

    The names are what `package.install` takes on a host that is to become like this one.
    """

    name = "discovery.packages"
    effect = Effect.READ
    Params = PackagesParams
    Outputs = PackagesOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Ask which package manager the host has."""
        return await availability()

    async def run(self, ctx: StepContext, params: PackagesParams) -> PackagesOutputs:
        """Ask dpkg, and apt for who asked."""
        apt = Apt(ctx, LOOKING)
        native = (await apt.quiet("dpkg", "--print-architecture")).strip()
        form = "${db:Status-Status}\t${Package}\t${Architecture}\t${Version}\n"
        versions: dict[str, str] = {}
        for line in (await apt.quiet("dpkg-query", "--show", f"--showformat={form}")).splitlines():
            status, name, architecture, version = line.split("\t")
            if status == "installed":
                versions[name if architecture in (native, "all") else f"{name}:{architecture}"] = version
        names = set(versions)
        if params.manual:
            names &= set((await apt.mark("showmanual")).split())
        chosen = sorted(name for name in names if name.startswith(params.match))
        told, left_out = fitting([FoundPackage(name=name, version=versions[name]) for name in chosen])
        return PackagesOutputs(packages=told, left_out=left_out)
