"""Finding out what a host holds: the step types of the plugin `discovery`."""

from typing import Final

from pilotage_plugins.discovery.containers import DiscoveryContainers, DiscoveryVolumes
from pilotage_plugins.discovery.data import DiscoveryData
from pilotage_plugins.discovery.disks import DiscoveryDisks
from pilotage_plugins.discovery.packages import DiscoveryPackages

DISCOVERY_STEP_TYPES: Final = (
    DiscoveryData,
    DiscoveryContainers,
    DiscoveryVolumes,
    DiscoveryPackages,
    DiscoveryDisks,
)
