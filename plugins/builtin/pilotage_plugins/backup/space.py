"""Whether a backup will fit, asked before it begins."""

import shutil
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api import TargetFailed

from pilotage_plugins.backup.repository import RepositoryParams, masked
from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.snapshots import Snapshot

OVERHEAD: Final = 1.02
"""What restic adds to content that does not compress: indexes, trees, and packs that are not full."""


def free_bytes(params: RepositoryParams) -> int | None:
    """Return what the repository's disk has free; None where that cannot be asked: anywhere but a folder here."""
    if not params.is_local:
        return None
    folder = Path(params.repository.removeprefix("local:"))
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


async def check_restore_room(restic: Restic, snapshot: Snapshot, area: Path, advice: str) -> None:
    """Raise TargetFailed, with the advice, when a snapshot would not fit where it is to be restored."""
    counted: dict[str, Any] = await restic.json(
        "measuring the snapshot", "stats", "--mode", "restore-size", snapshot.id
    )
    needed, free = int(counted["total_size"]), shutil.disk_usage(area).free
    if needed * 1.05 > free:
        raise TargetFailed(
            f"restoring snapshot {snapshot.id} needs {needed} bytes, {str(area.parent)!r} has {free} free: {advice}"
        )


def check_room(params: RepositoryParams, new_bytes: int, free: int) -> None:
    """Raise TargetFailed when what is new since the last backup would not fit, were it not to compress at all."""
    if new_bytes * OVERHEAD > free:
        raise TargetFailed(
            f"{masked(params.repository)} has {free} bytes free, and {new_bytes} bytes are new since the last backup"
            " of these paths: make room with backup.prune, exclude what need not be kept, or set space_check: false"
            " when you know that it compresses well"
        )
