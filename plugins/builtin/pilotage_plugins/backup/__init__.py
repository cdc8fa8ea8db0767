"""Backups by restic: one repository, one verb each.

Nothing here is a format of our own: every snapshot can be listed and restored with plain restic. Snapshots carry the
tag `pilotage` and the host's name; what Pilotage prunes is limited to those.
"""

from typing import Final

from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.database_restore import RestoreDatabase
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.backup.restore import BackupRestore
from pilotage_plugins.backup.verify import BackupVerify

BACKUP_STEP_TYPES: Final = (
    BackupInit,
    BackupCreate,
    BackupDatabase,
    BackupVerify,
    BackupList,
    BackupRestore,
    BackupPrune,
    RestoreDatabase,
    RestoreDrill,
)
