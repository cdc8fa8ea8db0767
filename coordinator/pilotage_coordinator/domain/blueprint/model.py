"""The normalised blueprint: what every written form becomes at load.

Values are frozen; equality ignores where things were written. Durations are microseconds. Strings named `template` may
hold `${{ … }}`; conditions are bare CEL. The other nouns stand in their own modules and are exported here as well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from pilotage_coordinator.domain.approval.gate import Escalation, OnTimeout
from pilotage_coordinator.domain.blueprint.nodes import Source
from pilotage_coordinator.domain.blueprint.parameter import Parameter, ParameterType, Validation
from pilotage_coordinator.domain.blueprint.position import NOWHERE, Path, Position
from pilotage_coordinator.domain.blueprint.retry import (
    Defaults,
    RetryPolicy,
    Settled,
)
from pilotage_coordinator.domain.blueprint.rollout import (
    Batch,
    Gate,
    Health,
    Rollout,
    StepApproval,
)
from pilotage_coordinator.domain.blueprint.targets import Capacity, Lock, Requires, Targets, Windows
from pilotage_coordinator.domain.plan import (
    Effect,
    FailureKind,
    OnFailure,
    OnOffline,
    Place,
    RolloutFailure,
    StepKind,
)

__all__ = [
    "Batch",
    "Blueprint",
    "BlueprintCall",
    "Capacity",
    "Concurrency",
    "Defaults",
    "Effect",
    "Escalation",
    "FailureKind",
    "Gate",
    "Health",
    "Lock",
    "OnFailure",
    "OnOffline",
    "OnTimeout",
    "OnUnknown",
    "Parameter",
    "ParameterType",
    "Place",
    "Position",
    "Requires",
    "RetryPolicy",
    "RollbackPlan",
    "Rollout",
    "RolloutFailure",
    "Settled",
    "Step",
    "StepApproval",
    "StepKind",
    "Targets",
    "Undo",
    "Validation",
    "Windows",
]


_T = TypeVar("_T")


class OnUnknown(StrEnum):
    """What an attempt means whose outcome nobody knows: wait for a person, or count as failed (never retried)."""

    HOLD = "hold"
    FAIL = "fail"


class Undo(StrEnum):
    """How rollback compensates a step: by its type's undo, not at all, or by the steps in `undo_steps`."""

    AUTO = "auto"
    NONE = "none"
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class BlueprintCall:
    """`blueprint: ID@MAJOR`: the newest version of that major, pinned in the plan."""

    id: str
    major: int

    def __str__(self) -> str:
        return f"{self.id}@{self.major}"


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph: a leaf (`type`), a group (`steps`), or a call of a blueprint (`call`)."""

    id: str
    kind: StepKind
    name: str = ""
    description: str = ""

    type: str = ""
    """Leaf: the step type's name, `plugin.verb`; classic names are resolved at load."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Leaf and call: a tree of templates."""
    steps: tuple["Step", ...] = ()
    finally_: tuple["Step", ...] = ()
    call: BlueprintCall | None = None

    dependencies: tuple[str, ...] = ()
    """Ids of siblings."""
    when: str | None = None
    targets: Targets | None = None
    """None: inherited from the group, then the blueprint."""
    run_once: bool = False
    place: Place | None = None
    """None: where the step type runs."""
    for_each: str | None = None
    """A lone `${{ … }}` that gives a list."""
    key: str | None = None
    """A template over `item`; None: the item itself, which must be a string."""
    max_items: int = 1000
    at_plan: bool = False
    rollout: Rollout | None = None
    locks: tuple[Lock, ...] = ()
    capacity: Capacity = field(default_factory=dict)
    windows: Windows | None = None
    requires_approval: bool = False
    approvers: tuple[str, ...] = ()

    timeout: int | None = None
    """Of an attempt. None here and in the four below: inherited; see `settled`."""
    deadline: int | None = None
    """Of the step, all attempts together; None: none."""
    retry_policy: RetryPolicy | None = None
    on_offline: OnOffline | None = None
    offline_deadline: int | None = None

    on_failure: OnFailure | None = None
    """None: the blueprint's."""
    irreversible: bool = False
    undo: Undo = Undo.AUTO
    undo_steps: tuple["Step", ...] = ()
    sensitive_outputs: tuple[str, ...] = ()
    effect: Effect | None = None
    """`read`, `idempotent` or `once`, where the type lets the author say; None: the type's own."""
    on_unknown: OnUnknown = OnUnknown.HOLD

    at: Position = field(default=NOWHERE, compare=False, repr=False)
    path: Path = field(default=(), compare=False, repr=False)
    """Where in the file's tree, such as `("workflows", "nightly", "steps", 2)`; see `write_path`."""

    def settled(self, defaults: Defaults) -> Settled:
        """Return what holds for this leaf: its own word first, then `defaults`, then the language's."""
        own = Settled()
        return Settled(
            timeout=_first(self.timeout, defaults.timeout, own.timeout),
            retry_policy=_first(self.retry_policy, defaults.retry_policy, own.retry_policy) or own.retry_policy,
            on_offline=_first(self.on_offline, defaults.on_offline, own.on_offline) or own.on_offline,
            offline_deadline=_first(self.offline_deadline, defaults.offline_deadline, None) or own.offline_deadline,
        )

    def inner(self) -> Iterator["Step"]:
        """Yield every step written directly inside this one, of whatever role."""
        yield from self.steps
        yield from self.finally_
        yield from self.undo_steps
        if self.rollout is not None:
            yield from self.rollout.refresh
            yield from self.rollout.analysis
            if self.rollout.health is not None:
                yield from self.rollout.health.steps


def _first(*candidates: _T | None) -> _T | None:
    return next((each for each in candidates if each is not None), None)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many executions of the blueprint may run at once, and what happens to one more."""

    limit: int = 1
    on_limit: str = "queue"
    """`queue`, `refuse` or `cancel_other`."""


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """What rollback does instead of the steps' undo, when all `conditions` hold. Without actions: the steps' undo."""

    conditions: tuple[str, ...] = ()
    actions: tuple[Step, ...] = ()
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A workflow template. Immutable once stored under its (id, version)."""

    id: str
    steps: tuple[Step, ...]
    name: str = ""
    description: str = ""
    category: str = ""
    version: str = "0.0.0"
    """A semantic version, three numbers; `0.0.0` is what an unversioned draft has."""
    tags: tuple[str, ...] = ()
    owner: str = ""
    documentation: str = ""
    estimated_duration: int | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    targets: Targets | None = None
    requires: Requires | None = None
    resource_requirements: Mapping[str, int | float] = field(default_factory=dict)
    locks: tuple[Lock, ...] = ()
    capacity: Capacity = field(default_factory=dict)
    windows: Windows | None = None
    concurrency: Concurrency | None = None
    deadline: int | None = None
    """Of the whole execution, in microseconds."""
    defaults: Defaults = field(default_factory=Defaults)
    on_failure: OnFailure = OnFailure.STOP
    approvals: tuple[StepApproval, ...] = ()
    finally_: tuple[Step, ...] = ()
    rollback_plan: RollbackPlan | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    at: Position = field(default=NOWHERE, compare=False, repr=False)
    source: Source | None = field(default=None, compare=False, repr=False)
    """The tree that it was read from, for the places of errors found later."""

    def position(self, path: Path) -> Position:
        """Return where the part at `path` was written, or its nearest ancestor."""
        return self.source.position(path) if self.source is not None else self.at

    def all_steps(self) -> Iterator[Step]:
        """Yield every step of the blueprint, outer before inner, in the order written."""
        waiting = [*self.steps, *self.finally_]
        if self.rollback_plan is not None:
            waiting += self.rollback_plan.actions
        waiting.reverse()
        while waiting:
            step = waiting.pop()
            yield step
            waiting += reversed(tuple(step.inner()))
