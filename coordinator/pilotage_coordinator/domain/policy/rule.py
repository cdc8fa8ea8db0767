"""A policy: rules that allow, deny, ask for approval, or let people only plan. Values alone; `judging` decides by them.

Everything that a rule means stands in the rule itself, its windows and zones too: a plan keeps the content of the rules
that decided about it, and an edit elsewhere in the policy is none of its business. Times are UTC microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pilotage_coordinator.domain.compliance.rule import ComplianceRule
from pilotage_coordinator.domain.plan import Effect, Json
from pilotage_coordinator.domain.values import DAY


class Decision(StrEnum):
    """What a policy says, from the mildest to the strictest. The strictest of several wins."""

    ALLOW = "allow"
    REQUIRE_APPROVAL = "require_approval"
    DRY_RUN_ONLY = "dry_run_only"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """Return how strict it is; 0 is the mildest."""
        return tuple(Decision).index(self)


class Level(StrEnum):
    """Where a rule stands. The first level that has a rule which matches decides alone."""

    EMERGENCY = "emergency"
    ROLE = "role"
    GLOBAL = "global"


class ChangeClass(StrEnum):
    """How a change is handled: agreed on beforehand, looked at by itself, or too urgent for that."""

    STANDARD = "standard"
    NORMAL = "normal"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of some days of the week, on the wall clock of a zone."""

    days: tuple[int, ...]
    """0 is Monday. One that goes past midnight belongs to the day on which it begins."""
    start: int
    """Minutes after midnight."""
    end: int
    """Minutes after midnight; at or before `start`: on the next day."""
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window: open while one of its hours is."""

    name: str
    hours: tuple[Hours, ...]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What must hold of one parameter of a step. All that is set must hold.

    Of a list, every entry must fit for a rule that allows; for all other rules one that fits is enough.
    """

    parameter: str
    """Its name; of what is inside, the path with dots: `quiesce.how`."""
    is_: Json = None
    one_of: tuple[Json, ...] = ()
    none_of: tuple[Json, ...] = ()
    like: tuple[str, ...] = ()
    """Patterns with `*` and `?`; one of them must match the whole value."""
    unlike: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    given: bool | None = None
    """Whether the parameter must be there, or must not."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who is asked too, so long after the request."""

    after: int
    to: str


@dataclass(frozen=True, slots=True)
class Demand:
    """The approval that a rule asks for."""

    required: int = 1
    of: tuple[str, ...] = ()
    """Principals, and `role:NAME`; none: whoever may decide."""
    timeout: int = DAY
    on_timeout: str = "deny"
    escalate: tuple[Escalation, ...] = ()
    comment: bool = False
    """Whether an answer must carry a comment."""
    description: str = ""
    strict: bool = False
    """Whether who answers for the assistant that asked may not approve either."""
    separation: bool = True
    """Whether whoever asked may not approve."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. What is empty or None restricts nothing; of everything else, all must hold for it to match."""

    name: str
    level: Level
    decision: Decision
    description: str = ""
    principals: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """person, service, assistant."""
    roles: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    """Names of step types; `*` and `?` stand for letters."""
    effects: tuple[Effect, ...] = ()
    destructive: bool | None = None
    irreversible: bool | None = None
    blueprints: tuple[str, ...] = ()
    """Ids of the blueprint that was asked for; with `*` and `?`."""
    categories: tuple[str, ...] = ()
    hosts: str = ""
    """A selector as on the command line: `env=prod,name~db*`. Steps on the coordinator have no host."""
    parameters: tuple[Constraint, ...] = ()
    classes: tuple[ChangeClass, ...] = ()
    times: tuple[Hours, ...] = ()
    windows: tuple[Window, ...] = ()
    """It matches only while one of them is open."""
    outside_windows: tuple[Window, ...] = ()
    """It matches only while none of them is open."""
    effective_from: int | None = None
    expires_at: int | None = None
    when: str = ""
    """A condition (CEL) over asker, blueprint, step, parameters, host and change."""
    max_concurrent: int = 0
    """So many executions that it lets run, at the same time; 0 is no bound."""
    requires: tuple[str, ...] = ()
    """What an execution must be started with: reference, reason, class."""
    approval: Demand | None = None
    """Only with `require_approval`."""


@dataclass(frozen=True, slots=True)
class External:
    """A policy engine that is asked too, over HTTP, in the form of OPA's data API. It can only be stricter."""

    url: str
    timeout: int
    """Microseconds."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question with the answer that it must get: a line of the table that tests a policy."""

    name: str
    ask: Mapping[str, Json]
    decision: Decision
    rules: tuple[str, ...] | None = None
    """The rules that must have decided; None: whichever."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it. Whatever no rule allows is denied."""

    rules: tuple[Rule, ...] = ()
    external: External | None = None
    cases: tuple[Case, ...] = field(default=())
    compliance: tuple[ComplianceRule, ...] = ()
    """What must be true before anything runs, whoever runs it."""
