"""The store as a whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pilotage_coordinator.store.protocol.access import AccessStore
from pilotage_coordinator.store.protocol.approvals import ApprovalStore
from pilotage_coordinator.store.protocol.blueprints import BlueprintStore, PlanStore
from pilotage_coordinator.store.protocol.compliance import ComplianceStore
from pilotage_coordinator.store.protocol.deliveries import DeliveryStore
from pilotage_coordinator.store.protocol.executions import ExecutionStore
from pilotage_coordinator.store.protocol.fleet import CertificateStore, EnrolmentStore, HostStore
from pilotage_coordinator.store.protocol.ledger import AnswerStore, AuditStore, SecretStore
from pilotage_coordinator.store.protocol.policies import PolicyStore
from pilotage_coordinator.store.protocol.schedules import ScheduleStore
from pilotage_coordinator.store.protocol.store_key import StoreKeyStore


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """How the store has worked since it was opened."""

    writes: int
    """Writes that were asked for."""
    transactions: int
    """Transactions that carried them: fewer than writes when they share."""
    conflicts: int
    checkpoints: int
    wal_pages: int
    """Length of the write-ahead log at the last checkpoint, in pages; 0 where there is none."""
    refusal: str = ""
    """Why the newest transaction was not stored (a full disk); empty when it was."""


class Store(Protocol):
    """Everything the coordinator must not forget; one for one coordinator, safe for concurrent tasks of its loop.

    Writes raise StoreUnavailable when the disk refuses; nothing is half done, and later writes work again once it is
    well. Reads see the last committed state, never a part of a transaction, and raise ReadTooLong after one second.
    Every row is read from the database: nothing here keeps the only copy of a fact in memory.
    """

    @property
    def executions(self) -> ExecutionStore: ...

    @property
    def blueprints(self) -> BlueprintStore: ...

    @property
    def plans(self) -> PlanStore: ...

    @property
    def hosts(self) -> HostStore: ...

    @property
    def enrolments(self) -> EnrolmentStore: ...

    @property
    def certificates(self) -> CertificateStore: ...

    @property
    def secrets(self) -> SecretStore: ...

    @property
    def key(self) -> StoreKeyStore: ...

    @property
    def answers(self) -> AnswerStore: ...

    @property
    def deliveries(self) -> DeliveryStore: ...

    @property
    def access(self) -> AccessStore: ...

    @property
    def approvals(self) -> ApprovalStore: ...

    @property
    def compliance(self) -> ComplianceStore: ...

    @property
    def policies(self) -> PolicyStore: ...

    @property
    def schedules(self) -> ScheduleStore: ...

    @property
    def audit(self) -> AuditStore: ...

    @property
    def coordinator_id(self) -> str:
        """The identity given to the database when it was made."""
        ...

    async def epoch(self) -> int:
        """Return the current epoch; 0 before the first `begin_epoch`."""
        ...

    async def begin_epoch(self, at_least: int = 0) -> int:
        """Begin the next epoch, durably: the greater of the last + 1 and `at_least`. Called once at each start."""
        ...

    async def maintain(self, now: int) -> None:
        """Do the chores that can wait for an idle moment: checkpoint, give free pages back, forget what has expired."""
        ...

    async def copy_to(self, path: Path) -> None:
        """Write a copy of one committed moment to a new file; reads and writes go on. Raises StoreUnavailable."""
        ...

    def figures(self) -> StoreFigures:
        """Return counters for monitoring."""
        ...

    async def close(self) -> None:
        """Finish what was begun, checkpoint, and release the file. Later calls raise StoreUnavailable."""
        ...
