"""The port to policies, and to the records that close changes."""

from typing import Protocol

from pilotage_coordinator.store.records import AuditEntry, ClosingRecord, Page, PolicyRecord


class PolicyStore(Protocol):
    """Every version of the policy that ever was; none is changed or removed."""

    async def add(self, policy: PolicyRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store the next version. Raises Conflict when its number does not follow the newest one's."""
        ...

    async def newest(self) -> PolicyRecord | None:
        """Return the version that counts; None before the first."""
        ...

    async def get(self, version: int) -> PolicyRecord:
        """Return one version; raises NotFound."""
        ...

    async def history(self, cursor: str = "", limit: int = 50) -> Page[PolicyRecord]:
        """Return versions, newest first; `limit` 1 to 1,000."""
        ...

    async def close_change(self, closing: ClosingRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store how a change was closed; raises Conflict when it is closed already."""
        ...

    async def closing(self, execution: str) -> ClosingRecord | None:
        """Return how the change of an execution was closed; None while it is open."""
        ...
