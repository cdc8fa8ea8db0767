"""What the coordinator knows of a step type: a copy of what agents announce, or of its own few."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pilotage_coordinator.domain.plan import Effect, Place


@dataclass(frozen=True, slots=True)
class StepTypeInfo:
    """One step type of the catalogue."""

    name: str
    effect: Effect = Effect.ONCE
    destructive: bool = False
    author_effects: tuple[Effect, ...] = ()
    """The effects that a blueprint may declare instead of the type's own; empty for most types."""
    params_schema: Mapping[str, object] = field(default_factory=dict)
    """JSON Schema of the parameters, as pydantic writes it."""
    outputs_schema: Mapping[str, object] = field(default_factory=dict)
    place: Place = Place.HOST
    distribution: str = ""
    version: str = ""
    digest: str = ""
    """Digest of the two schemas."""
    once: bool = False
    """On the coordinator: it asks once for the whole execution, also where the blueprint has targets."""
    has_undo: bool = True
    """Whether a rollback can compensate it by itself."""
    available: bool = True
    """On a host: whether it could run it when its agent last looked. It changes by itself, so no digest covers it."""
    reason: str = ""
    """Why it could not, and how to get what is missing."""


_LEAST_FIRST: Final = (Effect.READ, Effect.IDEMPOTENT, Effect.PROBE, Effect.ONCE)


def effect_for_rules(declared: Effect, types: Iterable[StepTypeInfo]) -> Effect:
    """Return the effect by which rules judge a step: the gravest of what its author declares and of what its type does
    on these hosts. An author may know that a command only reads, but nobody's rule may depend on their word.
    """
    return max((declared, *(each.effect for each in types)), key=_LEAST_FIRST.index)
