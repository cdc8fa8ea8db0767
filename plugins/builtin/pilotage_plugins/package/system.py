"""What every system of packages must be able to do, whatever its programs are called."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

from pilotage_plugin_api import StepContext, StepOutputs


class Conffiles(StrEnum):
    """What becomes of a configuration file that was changed here and in the new version."""

    KEEP = "keep"
    REPLACE = "replace"


class PlannedChange(StepOutputs):
    """One package. `before` is empty for a new one, `after` is empty for one that goes.

    `download_bytes` is the size of its archive; `way_back` whether its present version can still be had.
    """

    package: str
    before: str = ""
    after: str = ""
    security: bool = False
    download_bytes: int = 0
    way_back: bool = True


class PackageChange(StepOutputs):
    """One package that was changed; `before` is empty for a new one, `after` is empty for one that went."""

    package: str
    before: str = ""
    after: str = ""


class PackageManager(Protocol):
    """The programs of one system of packages, as one attempt calls them.

    They never ask and never wait for ever. What goes wrong is raised in its kind: InfrastructureFailed for what may
    heal (a lock, an archive that is away, a full disk), TargetFailed for what this host lacks, StepFailed for the rest.
    """

    @property
    def ctx(self) -> StepContext:
        """Return the attempt that it works for."""
        ...

    def at_leisure(self) -> "PackageManager":
        """Return one that neither a cancellation nor a deadline that has passed stops."""
        ...

    # --- what is there ------------------------------------------------------------------------------------------

    async def installed(self) -> dict[str, str]:
        """Return the version of every installed package, by the name that a request takes."""
        ...

    async def held(self) -> set[str]:
        """Return the packages that no upgrade touches."""
        ...

    async def automatic(self) -> set[str]:
        """Return the packages that are there as dependencies of others: nobody asked for them."""
        ...

    async def unfinished(self) -> list[str]:
        """Return the packages that an earlier run left half done."""
        ...

    async def offered(self, packages: Iterable[str]) -> dict[str, set[str]]:
        """Return the versions of these packages that a repository offers now, by `plain_name`."""
        ...

    async def files(self, packages: Iterable[str]) -> list[str]:
        """Return the paths of all files that these installed packages brought."""
        ...

    def plain_name(self, package: str) -> str:
        """Return the name without what tells one architecture from another."""
        ...

    # --- what would be done -------------------------------------------------------------------------------------

    async def newer(self, packages: Sequence[str], *, security_only: bool, full: bool) -> list[PlannedChange]:
        """Return what an upgrade would change, of these packages or of all, in the order of the work."""
        ...

    async def wanted(self, requests: Sequence[str], *, recommends: bool, downgrade: bool) -> list[PlannedChange]:
        """Return what installing these, each a name or name=version, would change."""
        ...

    async def with_details(self, changes: Sequence[PlannedChange]) -> list[PlannedChange]:
        """Add sizes, and whether the present versions can still be had."""
        ...

    # --- what changes the host ----------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Fetch the lists of packages; raises InfrastructureFailed when one of them cannot be had."""
        ...

    async def make(
        self, changes: Sequence[PlannedChange | PackageChange], *, downgrade: bool = False, change_held: bool = False
    ) -> None:
        """Install and remove exactly these versions. Those that nobody asked for must be marked so afterwards."""
        ...

    async def mark_automatic(self, packages: Iterable[str]) -> list[str]:
        """Mark those of them that are installed as dependencies of others; return the ones that were not marked so."""
        ...

    async def hold(self, packages: Sequence[str], *, held: bool) -> None:
        """Hold these packages at their versions, or let them go."""
        ...

    async def wait_for_others(self) -> None:
        """Wait until no other program changes packages: what it is at work on looks half done."""
        ...

    async def finish(self) -> list[str]:
        """Finish what an earlier run left half done, by the same policy for conffiles; return what that was.

        Waits for other programs first.
        """
        ...

    async def mend(self) -> None:
        """Install or remove packages until all dependencies are met."""
        ...
