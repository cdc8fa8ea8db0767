"""How retry policies are written."""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.form.scalars import Duration, Flag, Number, OneOf, Units
from pilotage_coordinator.domain.blueprint.form.shapes import Either, Field, ListOf, Reading, Record, Schema
from pilotage_coordinator.domain.blueprint.nodes import MapNode, Node, ScalarNode
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.blueprint.retry import RetryPolicy
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.domain.values import MINUTE, SECOND

USUAL_JITTER: Final = 0.2
"""What `jitter: true` means."""


class Jitter:
    """A fraction from 0 to 1, or true (0.2) or false (0)."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        """Return the fraction."""
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return USUAL_JITTER if node.value else 0.0
        value = Number(0, 1, whole=False).read(node, path, reading)
        return float(value) if isinstance(value, int | float) else value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the JSON Schema."""
        return {"anyOf": [Flag().schema(definitions), Number(0, 1, whole=False).schema(definitions)]}


def _build(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    if "multiplier" in given:
        given["multiplier"] = float(given["multiplier"])
    policy = RetryPolicy(at=node.at, **given)
    if "initial_delay" in given and "max_delay" in given and policy.initial_delay > policy.max_delay:
        return reading.refuse(node, path, "initial_delay is longer than max_delay")
    return policy


_KIND: Final = OneOf(tuple(each.value for each in FailureKind), enum=FailureKind)

RETRY_POLICY: Final = Record(
    "retry policy",
    {
        "max_attempts": Field(Number(1, 100), "All attempts, the first included."),
        "initial_delay": Field(Duration(), "Before the second attempt."),
        "initial_delay_seconds": Field(Units(SECOND), "Before the second attempt.", into="initial_delay"),
        "initial_delay_minutes": Field(Units(MINUTE), "Before the second attempt.", into="initial_delay"),
        "multiplier": Field(Number(1, 100, whole=False), "Each delay is so many times the one before."),
        "max_delay": Field(Duration(), "No delay is longer."),
        "max_delay_seconds": Field(Units(SECOND), "No delay is longer.", into="max_delay"),
        "max_delay_minutes": Field(Units(MINUTE), "No delay is longer.", into="max_delay"),
        "jitter": Field(Jitter(), "The fraction by which a delay may vary; true: 0.2."),
        "on": Field(
            Either(None, ListOf(_KIND, least=1), None, "a list of failure kinds"), "Kinds of failures to retry."
        ),
    },
    _build,
)
