"""What the engine may ask while it decides. All of it is pure for the duration of one decision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from pilotage_coordinator.domain.plan import FailureKind, Json

Scope: TypeAlias = Mapping[str, object]
"""The names that an expression may use (BLUEPRINTS: Expressions)."""


class Expressions(Protocol):
    """Evaluates the blueprint's expressions. Each raises a DomainError that names the expression and the fix."""

    def evaluate(self, text: str, scope: Scope) -> Json:
        """Return the value of a string with `${{ }}`; a lone expression keeps its type."""
        ...

    def evaluate_condition(self, text: str, scope: Scope) -> bool:
        """Return the value of a bare condition."""
        ...

    def render(self, tree: Json, scope: Scope) -> Json:
        """Return the tree with every expression inside replaced by its value."""
        ...


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step on the coordinator came to. `waiting` opens the gate named `gate`."""

    status: Literal["succeeded", "failed", "waiting"]
    outputs: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""
    failure_kind: FailureKind | None = None
    gate: str = ""
    prompt: str = ""


class CoordinatorStep(Protocol):
    """A step type that the coordinator decides by itself, at once and without effects."""

    def decide(self, parameters: Mapping[str, Json], condition: Callable[[str], bool]) -> StepOutcome:
        """Decide from the rendered parameters; `condition` evaluates bare CEL in the step's scope."""
        ...

    @property
    def raw(self) -> frozenset[str]:
        """Names of parameters that hold conditions, and so are not rendered."""
        ...


class World(Protocol):
    """The coordinator's present knowledge of the fleet, and the means to evaluate."""

    @property
    def hosts(self) -> Mapping[str, Mapping[str, Json]]:
        """Name to {name, address, labels, vars, facts, capabilities, environment, online}; last known."""
        ...

    def online(self, host: str) -> bool:
        """Return whether an attempt could be sent to the host now."""
        ...

    @property
    def expressions(self) -> Expressions:
        """The evaluator."""
        ...

    @property
    def coordinator_steps(self) -> Mapping[str, CoordinatorStep]:
        """By step type name. A coordinator step of another type becomes an attempt that the runtime makes itself."""
        ...
