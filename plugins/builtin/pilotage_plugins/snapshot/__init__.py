"""Snapshots of data before risky steps: on the same disk, instant where the system can, and brought back whole."""

from typing import Final

from pilotage_plugins.snapshot.create import SnapshotCreate
from pilotage_plugins.snapshot.listing import SnapshotList
from pilotage_plugins.snapshot.remove import SnapshotRemove
from pilotage_plugins.snapshot.restore import SnapshotRestore

SNAPSHOT_STEP_TYPES: Final = (SnapshotCreate, SnapshotRestore, SnapshotRemove, SnapshotList)
