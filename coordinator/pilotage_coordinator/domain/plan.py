"""The plan: a blueprint and its parameters resolved against the inventory, step by step and host by host.

A plan is what people approve and what the engine runs. Its digest is taken over its content, which holds all
that decides what happens (SEMANTICS: Plans), and nothing that changes by itself: no time, no preview, no free bytes.
All durations are integer microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from pilotage_proto.words import Effect as Effect
from pilotage_proto.words import FailureKind as FailureKind

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.blueprint.parameter import Parameter
from pilotage_coordinator.domain.share import Share

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What JSON can hold; tuples stand for lists."""


class StepKind(StrEnum):
    """The three forms of a step."""

    LEAF = "leaf"
    GROUP = "group"
    CALL = "call"
    """A blueprint called as a step: its steps stand in `steps`, with targets of their own."""
    HEALTH = "health"
    """A rollout's health gate on one host: its `steps` are tried again and again (`PlannedStep.health`)."""


class Place(StrEnum):
    """Where a leaf's work is done."""

    HOST = "host"
    COORDINATOR = "coordinator"


class OnFailure(StrEnum):
    """What an unabsorbed failure of a step does to the execution."""

    STOP = "stop"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


class OnOffline(StrEnum):
    """What happens to a step whose host is offline when it is due."""

    WAIT = "wait"
    SKIP = "skip"
    FAIL = "fail"


class RolloutFailure(StrEnum):
    """What reaching `max_failures` does to a rollout."""

    STOP = "stop"
    REVERT_HOST = "revert_host"
    REVERT_BATCH = "revert_batch"
    REVERT_ALL = "revert_all"


@dataclass(frozen=True, slots=True)
class Retry:
    """How failed attempts are made again: after `initial_delay * multiplier ** n`, at most `max_delay`."""

    max_attempts: int = 1
    initial_delay: int = 1_000_000
    multiplier: float = 2.0
    max_delay: int = 300_000_000
    jitter: float = 0.0
    """Fraction of the delay that may be added; drawn from the attempt's key, so that replays agree."""
    on: frozenset[FailureKind] = frozenset({FailureKind.STEP, FailureKind.INFRASTRUCTURE})


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of a rollout, and the time to wait after it."""

    size: Share
    wait: int = 0
    gate: str = ""
    """Name of the gate that must be released after this batch; empty for none."""
    approval: Gate | None = None
    """What must be approved after this batch, before the next one."""


@dataclass(frozen=True, slots=True)
class Health:
    """A host is healthy once its checks have succeeded all through `for_`, tried `every`, at the latest `within`."""

    for_: int
    within: int
    every: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a step goes over its hosts or items. The last batch repeats; no batches = all in one."""

    max_parallel: Share | None = None
    batches: tuple[Batch, ...] = ()
    max_failures: Share | None = None
    """More failed hosts than this, over the whole rollout, end it. None = no limit."""
    on_failure: RolloutFailure = RolloutFailure.STOP
    order_by: str = ""
    """Template of what the hosts that have not begun are ordered by, anew before each batch; ties by name."""
    refresh: tuple["PlannedStep", ...] = ()
    """Run on the hosts that have not begun, before they are ordered."""
    analysis: tuple["PlannedStep", ...] = ()
    """Run once after each batch: whether it went well."""


@dataclass(frozen=True, slots=True)
class HostsFrom:
    """Hosts decided while running: those where another step succeeded."""

    path: str
    exclude: tuple[str, ...] = ()
    limit: Share | None = None
    order: str = ""
    """A field of the host, `random` (drawn from the execution's id) or empty for plan order."""


@dataclass(frozen=True, slots=True)
class StepTypeUse:
    """The step type that a leaf runs, as pinned by the plan."""

    name: str
    distribution: str = ""
    version: str = ""
    schema_digest: str = ""


@dataclass(frozen=True, slots=True)
class BlueprintRef:
    """A stored blueprint: (id, semantic version, digest of its content)."""

    id: str
    version: str
    digest: str

    def __str__(self) -> str:
        """Return `id@version`."""
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One node of a plan.

    `path` is the ids from the root joined by `/`, unique in the plan; dependencies are paths of siblings.
    Expressions (`when`, `for_each`, templates inside `parameters`) stand as written: the engine evaluates them when
    the step is due. What they come to, where a plan can know it, is in `Plan.resolved` and so in the digest.
    """

    path: str
    kind: StepKind
    name: str = ""
    type: StepTypeUse | None = None
    effect: Effect = Effect.ONCE
    destructive: bool = False
    place: Place = Place.HOST
    type_on: Mapping[str, StepTypeUse] = field(default_factory=dict)
    """Hosts whose plugin differs from `type`."""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Parameters that are names of files of the blueprint: name to the key of its text in `Plan.files`."""
    dependencies: tuple[str, ...] = ()
    when: str = ""
    hosts: tuple[str, ...] = ()
    """In rollout order. Empty for a step on the coordinator outside a group, a call, and one with `hosts_from`.
    A step inside a group carries none: it runs where its group runs."""
    hosts_from: HostsFrom | None = None
    run_once: bool = False
    for_each: str | tuple[Json, ...] | None = None
    """An expression to be evaluated when due, or the items if the plan resolved them. None = no loop."""
    key: str = ""
    """Expression for an item's key; empty = the item itself, which must be a string."""
    max_items: int = 1000
    rollout: Rollout = field(default_factory=Rollout)
    retry: Retry = field(default_factory=Retry)
    timeout: int = 0
    """Bound of one attempt; 0 = none."""
    deadline: int = 0
    """Bound of the step on one host, from its first attempt, retries included; 0 = none."""
    on_offline: OnOffline = OnOffline.WAIT
    offline_deadline: int = 3_600_000_000
    on_failure: OnFailure = OnFailure.STOP
    on_unknown: Literal["hold", "fail"] = "hold"
    irreversible: bool = False
    approvals: tuple[Gate, ...] = ()
    """What must be approved before it starts: asked once, when its turn first comes, for all its hosts and items."""
    undo: Literal["auto", "none", "steps"] = "auto"
    undo_steps: tuple["PlannedStep", ...] = ()
    sensitive_outputs: tuple[str, ...] = ()
    at_plan: bool = False
    planned_outputs: Mapping[str, Json] = field(default_factory=dict)
    """For `at_plan`: host name to outputs, as answered when the execution's plan was made."""
    planned_items: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    """For `for_each` that the plan could resolve: host name ("" on the coordinator) to items. Where a host stands here,
    these are its items, whatever the expression would give later: they are what was approved."""
    health: Health | None = None
    """For a health gate: how long, how soon, how often. Its checks stand in `steps`."""
    call: BlueprintRef | None = None
    """For a call: the version that it runs."""
    targets: tuple[str, ...] = ()
    """For a call: what `targets` names inside it."""
    arguments: Mapping[str, Json] = field(default_factory=dict)
    """For a call: the parameters of the called blueprint. Values, never rendered again (one may look like a template);
    sensitive ones are masked, and stand under this path in the execution's sensitive parameters."""
    accepts: Mapping[str, Parameter] = field(default_factory=dict)
    """For a call: what the blueprint accepts for the arguments whose templates stand in `parameters`. They are not the
    same for all hosts and items, or known only at run time, and are evaluated when the call begins there."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """For a call: what must hold of the arguments then: parameter to a condition over `parameters`; null has none."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """For a call: name to expression over the inner steps."""
    steps: tuple["PlannedStep", ...] = ()
    finally_: tuple["PlannedStep", ...] = ()

    @property
    def inside(self) -> tuple["PlannedStep", ...]:
        """Return every step directly inside, in the order in which they may run; undo steps last."""
        return (*self.rollout.refresh, *self.steps, *self.finally_, *self.rollout.analysis, *self.undo_steps)

    @property
    def id(self) -> str:
        """Return the last part of the path: the id that the blueprint gave."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """Return the path of the group or call around this step; empty at the root."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """What a rollback does instead of each step's own undo."""

    conditions: tuple[str, ...] = ()
    actions: tuple[PlannedStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the expressions of one step come to on one host, as far as a plan can know.

    In `parameters`, a value known only at run time stands as `{"run_time": TEMPLATE}`, one made from a sensitive
    parameter as `{"sensitive": "hmac-sha256:…"}`. Parameters without expressions are not repeated here.
    """

    when: bool | None = None
    """What `when` gives; None: there is none, or it is known at run time, or it is asked for each item."""
    items: tuple[str, ...] | None = None
    """The keys of the items, in order; None: no loop, or known at run time."""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """Those that are the same for every item."""
    item_parameters: tuple[Mapping[str, Json], ...] = ()
    """For each key in `items`, those that depend on the item."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy says about some steps of a plan."""

    decision: str
    """`allow`, `require_approval` or `dry_run_only`; what is denied makes no plan."""
    rules: tuple[str, ...] = ()
    """Names of the rules that decided."""
    steps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Path to hosts ("" on the coordinator); no hosts stand for all on which the step runs."""


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """The decisions of a policy about a plan, and the content of the rules that made them; empty without a policy.

    The rest of the policy is not part of it, so that an edit elsewhere voids no approval.
    """

    rulings: tuple[Ruling, ...] = ()
    rules: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Name to content."""
    external: str = ""
    """The decision of the external engine, where one is asked."""
    compliance: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """The rules of compliance that the plan must keep: name to content. What they find changes by itself (a backup gets
    older), so it is looked at again at the start, and stands beside the plan."""
    sent: bool = False
    """The blueprint is not stored, somebody sent its text: what that says of itself (id, category) proves nothing."""


READ_BY_STEP_TYPES: Final = frozenset({"docker_host"})
"""Variables of hosts that built-in step types read without being given them: another value, another effect."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an execution will do. Immutable; `digest` identifies it everywhere."""

    blueprint: BlueprintRef
    parameters: Mapping[str, Json]
    """Values, not templates; sensitive ones are replaced by `{"sensitive": "hmac-sha256:…"}` (docs/plans.md)."""
    targets: tuple[str, ...]
    """What the name `targets` means in expressions: the hosts of the blueprint's own targets, in plan order."""
    steps: tuple[PlannedStep, ...]
    finally_: tuple[PlannedStep, ...] = ()
    rollback: RollbackPlan | None = None
    approvals: tuple[Gate, ...] = ()
    """What must be approved before anything of it starts."""
    on_failure: OnFailure = OnFailure.STOP
    deadline: int = 0
    outputs: Mapping[str, str] = field(default_factory=dict)
    resolved: Mapping[str, Mapping[str, Resolved]] = field(default_factory=dict)
    """Step path to host name ("" on the coordinator) to what its expressions come to there. For people, for the
    digest, and for the check at each dispatch (`domain.planning.drift`)."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The texts of the blueprints' files that steps use, by the digest of each; taken as they are, never rendered."""
    host_ids: Mapping[str, str] = field(default_factory=dict)
    """Name to id of every host that a step names: a name can pass to another machine, an id never does."""
    host_variables: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Name to those variables of the host that step types read by themselves (`READ_BY_STEP_TYPES`)."""
    policy: PlanPolicy = PlanPolicy()
    name: str = ""
    """What people call the blueprint; of a command, its words. Decides nothing, and is no part of the digest."""
    category: str = ""
    """That of the blueprint. No part of the digest by itself: the blueprint's digest covers it."""
    digest: str = ""
    """sha256 of the canonical content (`domain.planning.content`)."""
