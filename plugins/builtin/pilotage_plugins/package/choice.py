"""Which package manager a host has."""

import shutil
from typing import Final

from pilotage_plugin_api import Availability, StepContext

from pilotage_plugins.package.debian import Debian
from pilotage_plugins.package.system import Conffiles, PackageManager

APT_PROGRAMS: Final = ("apt-get", "apt-mark", "apt-cache", "dpkg", "dpkg-query")
NOT_YET: Final = ("dnf", "yum", "apk", "zypper", "pacman")
"""Programs of package managers behind which nobody has put a `PackageManager` yet."""


async def looking(ctx: StepContext, *, fresh: bool = False) -> PackageManager:
    """Return the host's package manager to look with: nothing on the host is changed, its lists of packages neither.

    With `fresh`, lists are fetched beside the host's own; raises InfrastructureFailed when that does not work.
    """
    return await Debian.looking(ctx, fresh=fresh)


def working(ctx: StepContext, lock_wait: float, conffiles: Conffiles = Conffiles.KEEP) -> PackageManager:
    """Return the host's package manager to work with; `lock_wait` is in seconds."""
    return Debian.working(ctx, lock_wait, conffiles)


async def availability() -> Availability:
    """Say whether this host has a package manager that Pilotage knows, and if not, which one it has."""
    missing = [name for name in APT_PROGRAMS if not shutil.which(name)]
    if not missing:
        return Availability(available=True)
    if other := next((name for name in NOT_YET if shutil.which(name)), None):
        return Availability(available=False, reason=f"this host has {other}, which is not supported yet: only apt is")
    return Availability(available=False, reason=f"this host has no {missing[0]}: only apt and dpkg are supported")
