"""Everything that operations work with, wired by `bootstrap`."""

from collections.abc import Callable
from dataclasses import dataclass

from pilotage_coordinator.domain.identifier import NewId
from pilotage_coordinator.service.ports import (
    AuditLog,
    Backups,
    Clock,
    Compliance,
    Coordinator,
    Doctor,
    Hosts,
    Library,
    Logs,
    Notifications,
    PlanMaker,
    Policies,
    Recoveries,
    Runs,
    Schedules,
    Secrets,
)
from pilotage_coordinator.service.subjects import Subjects
from pilotage_coordinator.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Services:
    """The ports, one of each, and the store for reads."""

    clock: Clock
    new_id: NewId
    store: Store
    library: Library
    plans: PlanMaker
    runs: Runs
    schedules: Schedules
    hosts: Hosts
    secrets: Secrets
    notifications: Notifications
    policies: Policies
    compliance: Compliance
    logs: Logs
    audit: AuditLog
    backups: Backups
    recoveries: Recoveries
    doctor: Doctor
    coordinator: Coordinator
    subjects: Subjects
    owner: str
    """The principal who runs this coordinator, and whose its socket is."""
    random_bytes: Callable[[int], bytes]
    """Gives so many unpredictable bytes, for API tokens."""
    request_key: bytes
    """For the HMAC by which a repeated request is recognised: requests may hold sensitive parameters."""
