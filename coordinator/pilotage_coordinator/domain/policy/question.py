"""What a policy is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Effect, Json
from pilotage_coordinator.domain.policy.rule import ChangeClass, Decision, Level


class Stage(StrEnum):
    """When a policy is asked. Before dispatch, some parameters may not be known yet."""

    PLAN = "plan"
    START = "start"
    DISPATCH = "dispatch"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks."""

    principal: str
    kind: str = "person"
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """What an execution is for."""

    reference: str = ""
    """The change's number or address in another system."""
    reason: str = ""
    change_class: ChangeClass | None = None

    def lacks(self, what: str) -> bool:
        """Return whether this part (`reference`, `reason`, `class`) was not given."""
        return not {"reference": self.reference, "reason": self.reason, "class": self.change_class}[what]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be done, by whom, for what: all that is the same on every host."""

    asker: Asker
    operation: str
    """Name of the step type."""
    effect: Effect = Effect.ONCE
    destructive: bool = False
    irreversible: bool = False
    blueprint: str = ""
    """Of a stored one; what somebody only sends could call itself anything."""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """May this be done there, with these parameters, at this time?"""

    subject: Subject
    at: int
    host: Host | None = None
    """None: on the coordinator."""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """`{"run_time": …}` and `{"sensitive": …}` stand for values that are not known."""
    change: Change = Change()
    path: str = ""
    stage: Stage = Stage.DISPATCH


@dataclass(frozen=True, slots=True)
class Matched:
    """A rule that matches."""

    rule: str
    level: Level
    decision: Decision


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, and why."""

    decision: Decision
    rules: tuple[str, ...] = ()
    """The rules that decided, in the order of the policy; none: nothing matches, so it is denied."""
    matched: tuple[Matched, ...] = ()
    """All that match, in the order of the policy, those of levels that have no say too."""
    reasons: tuple[str, ...] = ()
    """In words: what decided, and what could not be known."""
