"""Shares of a host's capacity, promised to one workload at a time."""

from typing import Final

from pilotage_plugins.resource.allocate import ResourceAllocate
from pilotage_plugins.resource.release import ResourceRelease

RESOURCE_STEP_TYPES: Final = (ResourceAllocate, ResourceRelease)
