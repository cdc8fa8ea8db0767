"""Planning: blueprint + parameters + inventory → plan, or everything that is wrong. See docs/plans.md."""

from pilotage_coordinator.domain.planning.codec import content, digest, from_json, to_json
from pilotage_coordinator.domain.planning.drift import HostDrift, differences, host_drift, value_drift
from pilotage_coordinator.domain.planning.errors import (
    BlueprintUnreadable,
    PlanningError,
    PlanProblem,
    PlanRefused,
    PlanUnreadable,
    SelectorRefused,
)
from pilotage_coordinator.domain.planning.pins import all_steps, pins_of
from pilotage_coordinator.domain.planning.planner import make_plan
from pilotage_coordinator.domain.planning.previews import PreviewQuestion, preview_questions
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
from pilotage_coordinator.domain.planning.view import PlanView, PreviewAnswer, PreviewKey, view_plan

__all__ = [
    "BlueprintUnreadable",
    "HostDrift",
    "Library",
    "Note",
    "Outcome",
    "Pins",
    "PlanProblem",
    "PlanRefused",
    "PlanRequest",
    "PlanUnreadable",
    "PlanView",
    "Planned",
    "PlanningError",
    "PreviewAnswer",
    "PreviewKey",
    "PreviewQuestion",
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
    "differences",
    "digest",
    "from_json",
    "host_drift",
    "make_plan",
    "parse_selector",
    "pins_of",
    "preview_questions",
    "to_json",
    "value_drift",
    "view_plan",
]
