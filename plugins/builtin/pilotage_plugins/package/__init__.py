"""Packages of the operating system: the step types of the plugin `package`."""

from typing import Final

from pilotage_plugins.package.hold import PackageHold, PackageRepair
from pilotage_plugins.package.install import PackageInstall
from pilotage_plugins.package.upgrade import PackagePlan, PackageUpgrade

PACKAGE_STEP_TYPES: Final = (PackagePlan, PackageUpgrade, PackageInstall, PackageHold, PackageRepair)
