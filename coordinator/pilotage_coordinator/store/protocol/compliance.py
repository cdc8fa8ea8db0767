"""The port to checks of compliance."""

from typing import Protocol

from pilotage_coordinator.store.records import ComplianceFilter, ComplianceRecord, Page, UncheckedRuns


class ComplianceStore(Protocol):
    """The evidence of what was checked. Checks of executions are stored when these are created
    (`ExecutionStore.create`); none is changed, and none goes with its execution."""

    async def add(self, check: ComplianceRecord) -> None:
        """Store the check of something that was not started."""
        ...

    async def find(self, filter: ComplianceFilter, cursor: str = "", limit: int = 50) -> Page[ComplianceRecord]:
        """List checks, oldest first; `limit` 1 to 1,000. Raises BadCursor."""
        ...

    async def unchecked(self, filter: ComplianceFilter) -> tuple[UncheckedRuns, ...]:
        """Count the executions that were created in the period and have no check, by blueprint, sorted."""
        ...
