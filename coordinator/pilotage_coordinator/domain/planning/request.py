"""What a plan is made from, and what comes of it. The interface of this room for service and runtime.

    outcome = make_plan(request, world)                 # pure; raises PlanRefused with every problem
    while isinstance(outcome, Questions):               # steps with `at_plan`, round by round
        answers |= ask the hosts, in parallel           # QueryPurpose.READ; nothing is changed anywhere
        outcome = make_plan(request, replace(world, answers=answers))

At start the same request, with `pins=pins_of(approved.plan)` and fresh answers, is planned again; the execution starts
when the digests are equal and runs the fresh plan, whose `planned_outputs` are new.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.compliance.finding import Checked
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import BlueprintRef, FailureKind, Json, Plan, PlanPolicy
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.step_type import StepTypeInfo

Judge: TypeAlias = Callable[[Plan], tuple[PlanPolicy, Sequence[PlanProblem]]]
"""Returns the decisions about a plan that has no digest yet, and every reason not to make it."""

ReadKey: TypeAlias = tuple[str, str]
"""The path of a step with `at_plan`, and the host that it asks."""


@dataclass(frozen=True, slots=True)
class StoredBlueprint:
    """A blueprint with the reference that pins it."""

    ref: BlueprintRef
    blueprint: Blueprint


class Library(Protocol):
    """The stored blueprints that a plan may call."""

    def newest(self, id: str, major: int) -> StoredBlueprint | None:
        """Return the newest published version of this major, or None; raises BlueprintUnreadable."""
        ...

    def exact(self, ref: BlueprintRef) -> StoredBlueprint | None:
        """Return exactly this version if its digest is the same, or None; raises BlueprintUnreadable."""
        ...

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all blueprints, for "did you mean"."""
        ...


@dataclass(frozen=True, slots=True)
class Pins:
    """What an earlier plan decided by what was so at that moment, kept so that planning again gives the same plan."""

    hosts: Mapping[str, str] = field(default_factory=dict)
    """Path of a `run_once` step to the host that was the first one online."""
    blueprints: Mapping[str, BlueprintRef] = field(default_factory=dict)
    """Path of a call to the version that was the newest."""
    unanswered: frozenset[ReadKey] = frozenset()
    """Reads that were left out because their host was offline and skips what it misses."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What somebody wants to run. Keep it with the plan: planning again needs it."""

    blueprint: StoredBlueprint
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """As given, sensitive values in clear; store it sealed."""
    limit_to: str = ""
    """The command line's `-l` (see `parse_selector`): the hosts of steps without targets, and it narrows all others."""
    seed: str = ""
    """What `order: random` draws from; any text, kept with the request."""
    change_class: str = ""
    """standard, normal, emergency, or empty: rules of the policy may ask for it."""
    pins: Pins = field(default_factory=Pins)


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """What a host answered to a read: outputs, or why there are none."""

    outputs: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""
    failure_kind: FailureKind | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a plan depends on besides the request, as values."""

    inventory: Inventory
    library: Library
    step_types: Mapping[str, StepTypeInfo]
    """The step types that run on the coordinator."""
    expressions: Expressions
    """Not safe for several threads: whoever plans in a thread brings its own."""
    sensitive_key: bytes
    """The coordinator's key for `{"sensitive": "hmac-sha256:…"}`, at least 32 bytes, the same for its whole life."""
    answers: Mapping[ReadKey, ReadAnswer] = field(default_factory=dict)
    last_backups: Mapping[str, int] = field(default_factory=dict)
    """When the newest good backup of each host began, by name; UTC microseconds."""
    now: int = 0
    """UTC microseconds; only ages are told by it."""
    channels: Collection[str] = ()
    """Names of the channels that notifications may go to."""
    judge: Judge | None = None
    """What the policy says about a plan; None where there is no policy."""


@dataclass(frozen=True, slots=True)
class Question:
    """A read that a host must answer before there can be a plan. `parameters` may name secrets as secret://NAME."""

    path: str
    host: str
    step_type: str
    parameters: Mapping[str, Json]
    timeout: int
    """Microseconds."""

    @property
    def key(self) -> ReadKey:
        """Return the key under which `World.answers` takes the answer."""
        return (self.path, self.host)


@dataclass(frozen=True, slots=True)
class Questions:
    """There can be no plan before these are answered. More may follow."""

    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that people should know before they approve. `path` and `host` may be empty."""

    message: str
    path: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what belongs beside it."""

    plan: Plan
    sensitive_parameters: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """The real values that the plan only shows as `{"sensitive": …}`: path of the call ("" = the root) to name to
    value. The runtime keeps them sealed beside the execution and lays them over `parameters` and `arguments`."""
    notes: tuple[Note, ...] = ()
    compliance: Checked | None = None
    """What the rules of compliance found; None where there are none."""


Outcome: TypeAlias = Planned | Questions
