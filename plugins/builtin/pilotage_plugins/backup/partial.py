"""Snapshots that must not be taken for whole ones: marked where the repository lets us, taken away where it may."""

from typing import Final

from pilotage_plugin_api import StepError

from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.snapshots import ATTEMPT, OURS, PARTIAL, Snapshot, find

MARK_SECONDS: Final = 60.0
"""A repository that refuses changes lets restic try for minutes."""


async def mark_partial(restic: Restic, snapshot: Snapshot) -> Snapshot:
    """Mark a snapshot as partial; returns it under its new id, or as it was when the repository refuses.

    restic marks by storing the snapshot anew and removing the old one, which an append-only repository refuses.
    """
    attempt = next(tag for tag in snapshot.tags if tag.startswith(ATTEMPT))
    try:
        await restic.limited(MARK_SECONDS).run("marking the snapshot as partial", "tag", "--add", PARTIAL, snapshot.id)
    except StepError as error:
        restic.ctx.log(f"the snapshot could not be marked as partial: {error}")
    found = await find(restic, tags=[OURS, attempt])
    return next((one for one in reversed(found) if one.is_partial), found[-1] if found else snapshot)
