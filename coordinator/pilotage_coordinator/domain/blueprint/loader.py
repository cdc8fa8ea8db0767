"""From a file's text to blueprints, or to everything that is wrong with it."""

from collections.abc import Mapping
from dataclasses import replace

from pilotage_coordinator.domain.blueprint.errors import BlueprintError, Problems
from pilotage_coordinator.domain.blueprint.features import BUILT
from pilotage_coordinator.domain.blueprint.form.blueprint import FILE
from pilotage_coordinator.domain.blueprint.form.shapes import INVALID, Reading
from pilotage_coordinator.domain.blueprint.graph import check_graph
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.nodes import MapNode, Source
from pilotage_coordinator.domain.blueprint.partial import check_partly
from pilotage_coordinator.domain.blueprint.placement import check_placement
from pilotage_coordinator.domain.blueprint.reader import read_tree
from pilotage_coordinator.domain.blueprint.scope import check_scope
from pilotage_coordinator.domain.blueprint.step_types import check_step_types
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.step_type import StepTypeInfo


def load_blueprints(
    text: str, file: str, features: frozenset[str] = BUILT, step_types: Mapping[str, StepTypeInfo] | None = None
) -> tuple[Blueprint, ...]:
    """Return the blueprints of a file, normalised, in the order written.

    The file is in the rich form (`pilotage: 1`) or in the classic one. `file` is its name in errors; `features` are
    the features that are built; `step_types` the known ones, None when nobody can say which there are. Raises
    BlueprintError with every problem that was found. Pure and bounded: about a second for the largest file that is
    accepted (`reader`), so callers with other work run it in a thread.
    """
    problems = Problems(file)
    root = read_tree(text, problems)
    classic = isinstance(root, MapNode) and root.get("pilotage") is None
    reading = Reading(problems, features, classic)
    blueprints = FILE.read(root, (), reading)
    if blueprints is INVALID:
        check_partly(root, reading.read, step_types, problems)
        problems.refuse()
        raise AssertionError("a file was refused without a problem")
    source = Source(root)
    blueprints = tuple(replace(each, source=source) for each in blueprints)
    if not blueprints:
        problems.add(root.at, ("workflows",), "this file holds no blueprint")
    for blueprint in blueprints:
        check_graph(blueprint, problems)
        check_placement(blueprint, problems)
    sound = not problems.found
    expressions = Expressions()
    for blueprint in blueprints:
        if step_types is not None:
            for each in check_step_types(blueprint, step_types):
                problems.take(each)
        if sound:
            check_scope(blueprint, problems, expressions)
    problems.refuse()
    return blueprints


def load_blueprint(text: str, file: str, features: frozenset[str] = BUILT) -> Blueprint:
    """Return the one blueprint of a file. Raises BlueprintError, also when the file holds several."""
    blueprints = load_blueprints(text, file, features)
    if len(blueprints) > 1:
        problems = Problems(file)
        names = ", ".join(each.id for each in blueprints)
        problems.add(blueprints[1].at, (), f"this file holds several blueprints: {names}", "say which one is meant")
        raise BlueprintError(problems.found)
    return blueprints[0]
