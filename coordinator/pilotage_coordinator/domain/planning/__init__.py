"""Planning: blueprint + parameters + inventory → plan, or everything that is wrong. See docs/plans.md."""

from pilotage_coordinator.domain.planning.codec import content, digest, from_json, to_json
from pilotage_coordinator.domain.planning.errors import (
    PlanningError,
    PlanProblem,
    PlanRefused,
    PlanUnreadable,
    SelectorRefused,
)
from pilotage_coordinator.domain.planning.pins import all_steps, pins_of
from pilotage_coordinator.domain.planning.planner import make_plan
from pilotage_coordinator.domain.planning.request import (
    Library,
    Note,
    Outcome,
    Pins,
    Planned,
    PlanRequest,
    Question,
    Questions,
    ReadAnswer,
    ReadKey,
    StoredBlueprint,
    World,
)
from pilotage_coordinator.domain.planning.selector import Selector, parse_selector

__all__ = [
    "Library",
    "Note",
    "Outcome",
    "Pins",
    "PlanProblem",
    "PlanRefused",
    "PlanRequest",
    "PlanUnreadable",
    "Planned",
    "PlanningError",
    "Question",
    "Questions",
    "ReadAnswer",
    "ReadKey",
    "Selector",
    "SelectorRefused",
    "StoredBlueprint",
    "World",
    "all_steps",
    "content",
    "digest",
    "from_json",
    "make_plan",
    "parse_selector",
    "pins_of",
    "to_json",
]
