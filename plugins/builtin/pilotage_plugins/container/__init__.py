"""Containers: one host's Docker Engine, one verb each.

What a step leaves on an engine can be told from everything else by labels that begin with `io.pilotage.`.
"""

from typing import Final

from pilotage_plugins.container.creation import ContainerCreate
from pilotage_plugins.container.execution import ContainerExec
from pilotage_plugins.container.image import ContainerPull, ContainerResolveImage
from pilotage_plugins.container.inspection import ContainerHealth, ContainerInspect, ContainerList, ContainerLogs
from pilotage_plugins.container.lifecycle import (
    ContainerPause,
    ContainerRemove,
    ContainerRestart,
    ContainerStart,
    ContainerStop,
    ContainerUnpause,
)
from pilotage_plugins.container.network import NetworkCreate, NetworkRemove, VolumeCreate, VolumeRemove
from pilotage_plugins.container.resume import ContainerResumeAll
from pilotage_plugins.container.revert import ContainerRevert
from pilotage_plugins.container.snapshot import ContainerSnapshot
from pilotage_plugins.container.upgrade import ContainerUpgrade

CONTAINER_STEP_TYPES: Final = (
    ContainerInspect,
    ContainerList,
    ContainerLogs,
    ContainerHealth,
    ContainerResolveImage,
    ContainerPull,
    ContainerCreate,
    ContainerStart,
    ContainerStop,
    ContainerRestart,
    ContainerPause,
    ContainerUnpause,
    ContainerResumeAll,
    ContainerRemove,
    ContainerExec,
    ContainerSnapshot,
    ContainerUpgrade,
    ContainerRevert,
    NetworkCreate,
    NetworkRemove,
    VolumeCreate,
    VolumeRemove,
)
