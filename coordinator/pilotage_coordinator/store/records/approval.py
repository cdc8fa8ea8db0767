"""Rows of requests for approval, of the decisions on them, and of delegations. Times are UTC microseconds."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One row of workflow_decisions: how a person answered."""

    person: str
    at: int
    answer: str
    """`approve` or `reject`."""
    stands_on: str
    voice: str = ""
    comment: str = ""
    key: str = ""
    """The public key that verifies the proof, as `TYPE BASE64`."""
    proof: str = ""
    alone: bool = False
    dropped_at: int | None = None
    """Since when it does not count any more."""


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """One row of workflow_approvals."""

    id: str
    execution: str
    plan_digest: str
    gate: str
    scope: str
    path: str
    host: str
    item: str
    content: Mapping[str, Json]
    """The gate: how many of whom, and so on."""
    prompt: str
    requesters: tuple[str, ...]
    asks: tuple[str, ...]
    """Who may answer by now."""
    asked_at: int
    expires_at: int
    outcome: str = ""
    """Empty while it is open."""
    reason: str = ""
    ended_at: int | None = None
    consumed_at: int | None = None
    """When something first started that rests on it."""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """A yes that counts: an enabled person, who has this key, and the role that it stands on where it stands on one."""

    person: str
    key: str
    stands_on: str
    voice: str = ""
    """In whose place; empty: in their own."""


@dataclass(frozen=True, slots=True)
class ApprovalUpdate:
    """What happened to a request that has a row. One that has its outcome takes none (Conflict)."""

    id: str
    asks: tuple[str, ...] | None = None
    decisions: tuple[DecisionRecord, ...] = ()
    """Answers, in their order. Whoever gave one must still be who they stand on (Conflict)."""
    dropped: tuple[str, ...] = ()
    """Persons whose earlier votes count no more; before the decisions."""
    counted: tuple[Counted, ...] = ()
    """With the outcome `approved`: the votes on which it stands, checked once more."""
    outcome: str = ""
    reason: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class ApprovalFilter:
    """Which requests to list; empty fields filter nothing."""

    open: bool = False
    execution: str = ""


@dataclass(frozen=True, slots=True)
class DelegationRecord:
    """One row of delegations: a person lends their say on approvals to another, for a while."""

    id: str
    delegator: str
    delegate: str
    begins_at: int
    ends_at: int
    reason: str
    created_at: int
    created_by: str
    ended_by: str = ""
    """Who ended it before its time."""
