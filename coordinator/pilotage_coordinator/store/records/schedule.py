"""Rows of schedules and their firings. What they mean is said in `domain.schedule`; times are UTC microseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.audit.entry import AuditEntry
from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """One row of workflow_schedules."""

    id: str
    name: str
    owner: str
    """The principal with whose rights it runs."""
    blueprint: str
    """`id`, `id@1` or `id@1.2.0`, found anew at each firing, and compared with `seen`."""
    timetable: Mapping[str, Json]
    created_at: int
    created_by: str
    updated_at: int
    updated_by: str
    parameters: Mapping[str, Json]
    limit_to: str = ""
    hosts: tuple[str, ...] = ()
    """Those that its plan touched when somebody last set it: what limits of grants ask about."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """Each blueprint that it runs, as `id@version`, to its digest, when its owner last set or confirmed it."""
    reason: str = ""
    reference: str = ""
    change_class: str = ""
    overlap: str = "skip"
    catchup: int = 0
    jitter: int = 0
    most_runs: int = 0
    """How many executions it starts at most; 0: no limit."""
    pause_on_failure: bool = False
    state: str = "active"
    note: str = ""
    """Why it is in its state."""
    runs: int = 0
    """How many executions it has started by itself, those that wait included."""
    last_nominal: int | None = None
    """The newest time that has a row."""
    next_nominal: int | None = None
    due_at: int | None = None
    """When the next time is due, its jitter included; None: it has none."""
    version: int = 0
    """Grows by one with each change."""
    number: int = 0
    """In order of creation; given by the store."""


@dataclass(frozen=True, slots=True)
class FiringRecord:
    """One row of workflow_firings: a nominal time and what became of it, or one that somebody asked for (`person`)."""

    schedule: str
    nominal: int
    outcome: str
    recorded_at: int
    reason: str = ""
    execution: str = ""
    cause: str = "time"
    open: bool = False
    """Whether it waits, or the end of its execution is not taken into account yet."""
    status: str = ""
    """Of its execution as it is now; empty when there is none (any more)."""


@dataclass(frozen=True, slots=True)
class ScheduleStep:
    """One step forward of one schedule: all of it is stored, or nothing."""

    after: ScheduleRecord
    """What its row becomes; its `version` is the one that the step was decided on, the row's becomes that + 1."""
    firings: tuple[FiringRecord, ...] = ()
    """New ones. A time that has a row is a Conflict."""
    taken: FiringRecord | None = None
    """What becomes of one that waits."""
    closed: tuple[int, ...] = ()
    """Nominal times whose executions' ends are taken into account now."""
    audit: tuple[AuditEntry, ...] = ()
