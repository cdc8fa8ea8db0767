"""What is known of a run when it is checked. None stands for what is not known, everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.inventory import STABLE_HOST_FIELDS, Host, host_scope
from pilotage_coordinator.domain.plan import Effect, Json
from pilotage_coordinator.domain.policy.question import Asker, Change
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.domain.values import SECOND


@dataclass(frozen=True, slots=True)
class BlueprintFacts:
    """The blueprint that was asked for."""

    id: str
    version: str
    digest: str
    stored: bool
    """Whether it is a stored version. Of a text that somebody sent, the rest is what that text says of itself."""
    category: str = ""
    owner: str = ""
    documentation: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    rollback_actions: int = 0
    """How many steps its `rollback_plan` has."""

    @classmethod
    def of(cls, blueprint: Blueprint, digest: str, *, stored: bool) -> "BlueprintFacts":
        """Return what a blueprint says of itself."""
        plan = blueprint.rollback_plan
        return cls(
            blueprint.id,
            blueprint.version,
            digest,
            stored,
            blueprint.category,
            blueprint.owner,
            blueprint.documentation,
            blueprint.description,
            blueprint.tags,
            len(plan.actions) if plan is not None else 0,
        )


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A leaf that a run has."""

    path: str
    type: str
    effect: Effect | None = None
    """None where no host has its step type."""
    destructive: bool | None = None
    irreversible: bool = False
    approval: str | None = ""
    """Who asks for an approval before it (`the step`, `the blueprint` …); empty: nobody; None: not known yet."""
    main: bool = True
    """Whether it belongs to the work itself, and not to what undoes it: a rollback waits for nobody."""
    hosts: tuple[str, ...] = ()

    @property
    def changes(self) -> bool | None:
        """Return whether it may change anything."""
        return None if self.effect is None else self.effect is not Effect.READ


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A host that a run touches, with the newest that proves that its data would survive it."""

    host: Host
    proofs: tuple[Proof, ...] = ()

    @property
    def name(self) -> str:
        """Return its name."""
        return self.host.name

    def newest(self, kind: ProofKind) -> Proof | None:
        """Return the newest backup, or drill, that went well."""
        return next((each for each in self.proofs if each.kind is kind and each.passed), None)

    def scope(self, now: int) -> dict[str, Json]:
        """Return what a condition sees as `host`: `backup` and `drill` only where there is one."""
        found = {name: value for name, value in host_scope(self.host).items() if name in STABLE_HOST_FIELDS}
        for kind in ProofKind:
            proof = self.newest(kind)
            if proof is not None:
                found[kind.value] = {**proof.detail, "execution": proof.execution, "age": (now - proof.at) // SECOND}
        return found


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known. `at`: when, UTC microseconds."""

    at: int
    blueprint: BlueprintFacts
    steps: tuple[StepFacts, ...] | None = None
    hosts: Mapping[str, HostFacts] | None = field(default=None)
    """By name; None: which hosts it would touch is not known."""
    whence: str = ""
    """How it is known which hosts these are, where no plan says so."""
    asker: Asker | None = None
    change: Change | None = None
