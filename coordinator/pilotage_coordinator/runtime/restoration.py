"""What a coordinator that was restored from a backup finds out about the time that it has forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pilotage_coordinator.domain.fleet import JournalEntry
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.protocol import AuditStore, ExecutionStore
from pilotage_coordinator.store.records import AuditEntry
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.coordinator")

RESTORED: Final = "the coordinator was restored from a backup: see what has happened since, then resume"
"""Why an execution is held that was under way in the backup. Its attempts are not sent before somebody resumes it."""
EPOCH_MARGIN: Final = 1_000
"""Starts of the lost coordinator for which a host that is away just now may be ahead of those that were heard."""
MOST_NAMED: Final = 50
"""Unknown attempts that one audit entry names."""
LONGEST_ERROR: Final = 200


def held(pause_reason: str | None) -> bool:
    """Return whether an execution that is paused for this reason is held by a restore."""
    return pause_reason is not None and pause_reason.startswith(RESTORED)


def holding(pause_reason: str | None) -> str:
    """Return the reason to hold an execution for, which may be paused for another one already."""
    return RESTORED if pause_reason is None else f"{RESTORED}; it was paused before: {pause_reason}"


@dataclass(slots=True)
class Restoration:
    """Hosts are awaited one by one; what they ran and this database does not know is reported, never repeated."""

    executions: ExecutionStore
    audit: AuditStore
    clock: Clock
    awaited: set[str]
    """Hosts that have not told what they ran."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Host to how many attempts it told that this database does not know."""

    async def told(self, host: str, journal: Sequence[JournalEntry]) -> None:
        """Compare a host's journal with the database, and record what is not in it; raises StoreError."""
        strange = [entry for entry in journal if not await self._known(entry)]
        if strange and self.unknown.get(host) != len(strange):
            log.error("attempts.unknown_after_restore", host=host, count=len(strange))
            named: list[Json] = [_told(entry) for entry in strange[:MOST_NAMED]]
            detail: dict[str, Json] = {"count": len(strange), "attempts": named}
            await self.audit.append(
                AuditEntry(self.clock.now(), "coordinator", "coordinator.restore.unknown", host, "reported", detail)
            )
            self.unknown[host] = len(strange)
        self.awaited.discard(host)

    async def _known(self, entry: JournalEntry) -> bool:
        try:
            await self.executions.attempt(entry.key)
        except NotFound:
            return False
        return True


def _told(entry: JournalEntry) -> dict[str, Json]:
    told: dict[str, Json] = {"attempt": str(entry.key), "state": str(entry.state), "epoch": entry.epoch}
    if entry.report is not None:
        told |= {"outcome": str(entry.report.outcome), "error": entry.report.error[:LONGEST_ERROR]}
    return told
