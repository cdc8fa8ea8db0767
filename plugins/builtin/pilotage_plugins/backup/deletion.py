"""Forgetting snapshots, where the repository lets us."""

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from pilotage_plugin_api import StepCancelled, StepError, StepFailed

from pilotage_plugins.backup.repository import masked
from pilotage_plugins.backup.restic import Restic
from pilotage_plugins.backup.signals import EitherSignal
from pilotage_plugins.backup.snapshots import OURS, attempt_tag, find

AT_ONCE: Final = 200
QUICK_SECONDS: Final = 60.0
_REFUSED: Final = (
    re.compile(rb"remov|delet", re.IGNORECASE),
    re.compile(rb"\b403\b|forbidden|access ?denied|permission denied|not permitted", re.IGNORECASE),
)


class DeletionRefused(StepFailed):
    """The repository lets nobody with these credentials delete."""


async def forget(restic: Restic, ids: Sequence[str]) -> None:
    """Forget these snapshots; raises DeletionRefused as soon as the repository refuses to delete."""
    for start in range(0, len(ids), AT_ONCE):
        await delete(restic, "forgetting snapshots", "forget", *ids[start : start + AT_ONCE])


async def delete(restic: Restic, what: str, *arguments: str) -> None:
    """Run a command that deletes. When the repository refuses, restic tries again for up to a quarter of an hour, or,
    newer, says so and goes on; either way it is stopped at the first refusal, which DeletionRefused tells."""
    refused = asyncio.Event()
    said: list[str] = []

    def listen(line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        restic.ctx.log(text)
        if all(pattern.search(line) for pattern in _REFUSED):
            said.append(text)
            refused.set()

    stoppable = restic.stopped_by(EitherSignal(restic.ctx.cancel, refused))
    try:
        await stoppable.run(what, *arguments, on_line=lambda _line: None, on_error_line=listen)
    except (StepCancelled, StepError):
        if not refused.is_set() or restic.ctx.cancel.is_set():
            raise
    if refused.is_set():
        await restic.remove_dead_locks()
        raise DeletionRefused(
            f"{what} in {masked(restic.params.repository)}: the repository refuses to delete. If it is append-only,"
            " that is what protects it: prune with a credential that may delete, from a machine that keeps no other"
            f" secrets of the hosts. restic said: {masked(said[0])[:500]}"
        )


async def forget_attempt(restic: Restic, key: str) -> None:
    """Take away what an attempt left that failed: its snapshot, if there is one, and its dead lock.

    Where the repository refuses, the snapshot stays without a manifest, so nothing takes it for a whole one.
    """
    try:
        quick = restic.limited(QUICK_SECONDS)
        await quick.remove_dead_locks()
        found = await find(quick, tags=[OURS, attempt_tag(key)])
        restic.ctx.log(f"{len(found)} snapshots of the failed attempt are to be forgotten")
        await forget(quick, [snapshot.id for snapshot in found])
    except StepError as error:
        restic.ctx.log(f"what the failed attempt left could not be taken away: {error}")
