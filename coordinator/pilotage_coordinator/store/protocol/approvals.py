"""The port to requests for approval, the decisions on them, and who has lent their say to whom."""

from typing import Protocol

from pilotage_coordinator.store.records import (
    ApprovalFilter,
    ApprovalRecord,
    AuditEntry,
    DecisionRecord,
    DelegationRecord,
    Page,
)


class ApprovalStore(Protocol):
    """Requests are asked, answered and ended with the change of their execution (`ExecutionStore.commit`), and go with
    it in retention; here they are read. Times are UTC microseconds."""

    async def get(self, id: str) -> ApprovalRecord:
        """Return a request; raises NotFound."""
        ...

    async def find(
        self, filter: ApprovalFilter | None = None, cursor: str = "", limit: int = 50
    ) -> Page[ApprovalRecord]:
        """List requests, newest first. Raises BadCursor."""
        ...

    async def decisions(self, id: str) -> tuple[DecisionRecord, ...]:
        """Return the answers to a request in their order, those that count no more included."""
        ...

    async def delegate(self, delegation: DelegationRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store a delegation; raises Refused where one of the two is no principal."""
        ...

    async def delegation(self, id: str) -> DelegationRecord:
        """Return a delegation; raises NotFound."""
        ...

    async def delegations(self, now: int, delegate: str = "") -> tuple[DelegationRecord, ...]:
        """Return the delegations that have not ended by `now`, to somebody or to anybody; those to come, too."""
        ...

    async def end_delegation(self, id: str, at: int, by: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """End a delegation now; raises NotFound, and Refused for one that has ended."""
        ...
