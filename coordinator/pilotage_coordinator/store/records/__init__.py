"""The rows that the store takes and gives, as frozen values."""

from pilotage_coordinator.audit.chain import AuditVerdict
from pilotage_coordinator.audit.entry import AuditEntry, AuditHead, AuditRecord
from pilotage_coordinator.audit.head import SignedHead
from pilotage_coordinator.store.records.access import (
    GrantRecord,
    Holder,
    PrincipalRecord,
    RoleRecord,
    TokenRecord,
)
from pilotage_coordinator.store.records.approval import (
    ApprovalFilter,
    ApprovalRecord,
    ApprovalUpdate,
    Counted,
    DecisionRecord,
    DelegationRecord,
)
from pilotage_coordinator.store.records.blueprint import BlueprintRecord, BlueprintSummary, PlanRecord
from pilotage_coordinator.store.records.compliance import ComplianceFilter, ComplianceRecord, UncheckedRuns
from pilotage_coordinator.store.records.delivery import (
    DeliveryFigures,
    DeliveryFilter,
    DeliveryRecord,
    GivenUp,
    NotificationRecord,
)
from pilotage_coordinator.store.records.execution import (
    AttemptRecord,
    AttemptUpdate,
    BlueprintMetric,
    EventRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionFilter,
    ExecutionInputs,
    ExecutionRecord,
    Progress,
    Pruned,
    StepRunFilter,
    StepRunRecord,
)
from pilotage_coordinator.store.records.fleet import CertificateRecord, EnrolmentRecord, HostRecord, SessionMarks
from pilotage_coordinator.store.records.ledger import AnswerRecord, AuditFilter, RecoveryRecord, SecretRecord
from pilotage_coordinator.store.records.page import Page
from pilotage_coordinator.store.records.policy import ClosingRecord, PolicyRecord
from pilotage_coordinator.store.records.schedule import FiringRecord, ScheduleRecord, ScheduleStep
from pilotage_coordinator.store.records.store_key import Resealed, StoreKeyRecord

__all__ = [
    "AnswerRecord",
    "ApprovalFilter",
    "ApprovalRecord",
    "ApprovalUpdate",
    "AttemptRecord",
    "AttemptUpdate",
    "AuditEntry",
    "AuditFilter",
    "AuditHead",
    "AuditRecord",
    "AuditVerdict",
    "BlueprintMetric",
    "BlueprintRecord",
    "BlueprintSummary",
    "CertificateRecord",
    "ClosingRecord",
    "ComplianceFilter",
    "ComplianceRecord",
    "Counted",
    "DecisionRecord",
    "DelegationRecord",
    "DeliveryFigures",
    "DeliveryFilter",
    "DeliveryRecord",
    "EnrolmentRecord",
    "EventRecord",
    "ExecutionChange",
    "ExecutionCreation",
    "ExecutionFilter",
    "ExecutionInputs",
    "ExecutionRecord",
    "FiringRecord",
    "GivenUp",
    "GrantRecord",
    "Holder",
    "HostRecord",
    "NotificationRecord",
    "Page",
    "PlanRecord",
    "PolicyRecord",
    "PrincipalRecord",
    "Progress",
    "Pruned",
    "RecoveryRecord",
    "Resealed",
    "RoleRecord",
    "ScheduleRecord",
    "ScheduleStep",
    "SecretRecord",
    "SessionMarks",
    "SignedHead",
    "StepRunFilter",
    "StepRunRecord",
    "StoreKeyRecord",
    "TokenRecord",
    "UncheckedRuns",
]
