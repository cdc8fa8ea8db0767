"""Short ways to write a blueprint in a test, and to hear what is wrong with it."""

from pathlib import Path

from pilotage_coordinator.domain.blueprint.errors import BlueprintError, Problem
from pilotage_coordinator.domain.blueprint.features import ALL, BUILT
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint

SKETCHES = Path(__file__).parent / "sketches"


def rich(body: str, steps: str = "      - {id: a, type: dummy.sleep}") -> str:
    """Return a file with one blueprint, `x`; `body` is indented by four, `steps` by six."""
    return f"pilotage: 1\nworkflows:\n  x:\n{body}\n    steps:\n{steps}\n".replace("  x:\n\n", "  x:\n")


def with_steps(*steps: str) -> str:
    """Return a file whose blueprint has these steps, each one line of flow YAML."""
    return rich("", "\n".join(f"      - {each}" for each in steps))


def load(text: str, features: frozenset[str] = ALL) -> Blueprint:
    """Return the one blueprint of a text."""
    (blueprint,) = load_blueprints(text, "test.yaml", features)
    return blueprint


def problems(text: str, features: frozenset[str] = BUILT) -> tuple[Problem, ...]:
    """Return what is wrong with a text; nothing is an empty tuple."""
    try:
        load_blueprints(text, "test.yaml", features)
    except BlueprintError as error:
        return error.problems
    return ()


def only_problem(text: str, features: frozenset[str] = BUILT) -> Problem:
    """Return the one thing that is wrong with a text."""
    found = problems(text, features)
    assert len(found) == 1, [str(each) for each in found]
    return found[0]
