"""What can happen to an execution: facts from the fleet and the clock, and what people ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.approval.request import Vote
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.fleet import AttemptReport
from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the execution. `seed` is drawn once by the runtime and decides every random order."""

    seed: str
    requested_by: str
    request: Mapping[str, Json] = field(default_factory=dict)
    """Who asked, as a policy sees it, and what for."""


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """The agent has durably begun the attempt."""

    key: AttemptKey
    started_at: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The agent reported the attempt's end. Late, repeated and unknown ones change nothing."""

    report: AttemptReport


@dataclass(frozen=True, slots=True)
class HostChanged:
    """A host came, went, or changed its facts; the world tells which."""

    host: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: what is due at `now` happens."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The coordinator has started again: look at everything once, not only at what changes."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on where a bounded decision has stopped; `anew`: find out again what may start, as that was not kept."""

    anew: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryGivenUp:
    """A message that a step of this execution had queued could not be delivered. Taken in every status."""

    notification: str
    channel: str
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """Start nothing new."""

    by: str
    reason: str = ""
    anew: bool = False
    """Also where it is paused already: this reason takes the place of the other."""


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """Go on after a pause."""

    by: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Stop what runs, start nothing but the `finally` steps."""

    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GateReleased:
    """A named gate was answered."""

    name: str
    by: str
    outcome: Literal["approved", "denied"] = "approved"
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalAnswered:
    """A person answered a request for approval, proved and entitled. `standing`: earlier voters who still count."""

    request: str
    plan_digest: str
    vote: Vote
    standing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ApprovalWithdrawn:
    """A request is asked in vain: what it was about no longer holds. The answer to it is a no."""

    request: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownResolved:
    """A person says what became of a run that is unknown."""

    key: RunKey
    as_: Literal["succeeded", "failed", "retry"]
    by: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class RetryFailed:
    """Run again what failed, was cancelled or not run; what succeeded stays (`retry --failed-hosts`)."""

    by: str


@dataclass(frozen=True, slots=True)
class RerunFrom:
    """Run a step again, and all that depends on it, besides what had not succeeded."""

    step: str
    """The step's path."""
    by: str


@dataclass(frozen=True, slots=True)
class Drift:
    """What the plan rested on has changed: pause and say so."""

    reason: str


@dataclass(frozen=True, slots=True)
class RollbackRequested:
    """Compensate what was done; on rollback_incomplete: try what remains again."""

    by: str
    reason: str = ""


Input: TypeAlias = (
    Begin
    | AttemptStarted
    | AttemptEnded
    | HostChanged
    | Tick
    | Recovered
    | Continue
    | DeliveryGivenUp
    | PauseRequested
    | ResumeRequested
    | CancelRequested
    | GateReleased
    | ApprovalAnswered
    | ApprovalWithdrawn
    | UnknownResolved
    | RetryFailed
    | RerunFrom
    | Drift
    | RollbackRequested
)
