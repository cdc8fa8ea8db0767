"""The port between the coordinator and what it must not forget. Implementations pass `tests/contract/store`."""

from pilotage_coordinator.store.protocol.access import AccessStore
from pilotage_coordinator.store.protocol.approvals import ApprovalStore
from pilotage_coordinator.store.protocol.blueprints import BlueprintStore, PlanStore
from pilotage_coordinator.store.protocol.compliance import ComplianceStore
from pilotage_coordinator.store.protocol.deliveries import DeliveryStore
from pilotage_coordinator.store.protocol.executions import ExecutionStore
from pilotage_coordinator.store.protocol.fleet import CertificateStore, EnrolmentStore, HostStore
from pilotage_coordinator.store.protocol.ledger import AnswerStore, AuditStore, SecretStore
from pilotage_coordinator.store.protocol.logs import LogSlice, LogStore
from pilotage_coordinator.store.protocol.policies import PolicyStore
from pilotage_coordinator.store.protocol.schedules import ScheduleStore
from pilotage_coordinator.store.protocol.store import Store, StoreFigures
from pilotage_coordinator.store.protocol.store_key import StoreKeyStore

__all__ = [
    "AccessStore",
    "AnswerStore",
    "ApprovalStore",
    "AuditStore",
    "BlueprintStore",
    "CertificateStore",
    "ComplianceStore",
    "DeliveryStore",
    "EnrolmentStore",
    "ExecutionStore",
    "HostStore",
    "LogSlice",
    "LogStore",
    "PlanStore",
    "PolicyStore",
    "ScheduleStore",
    "SecretStore",
    "Store",
    "StoreFigures",
    "StoreKeyStore",
]
