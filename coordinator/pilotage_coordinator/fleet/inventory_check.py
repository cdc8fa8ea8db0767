"""What a host says of itself, within bounds: what does not fit is left out and named, and the rest counts.

The host stays connected, because it may run things just now; people see it marked, with the reason. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pilotage_coordinator.domain.plan import Effect, Json

DEEPEST: Final = 16
MOST_STEP_TYPES: Final = 500
MOST_QUARANTINED: Final = 100
LONGEST_TEXT: Final = 1_000
LONGEST_NAME: Final = 128

AGENT: Final = "agent"
"""Under this name what is wrong with a report stands among the plugins that cannot be used."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_EFFECTS: Final = frozenset(str(effect) for effect in Effect)
_TEXTS: Final = ("distribution", "version")
_FLAGS: Final = ("destructive", "has_undo", "available")
_SCHEMAS: Final = ("params_schema", "outputs_schema")


def fitting_facts(facts: Mapping[str, Json]) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    """Return the facts, or none of them and why."""
    if (depth := _depth(facts)) > DEEPEST:
        return {}, (f"its facts are left out: they are nested {depth} deep; at most {DEEPEST}",)
    return facts, ()


def fitting_step_types(
    announced: Sequence[Mapping[str, Json]],
) -> tuple[tuple[Mapping[str, Json], ...], tuple[str, ...]]:
    """Return the step types that can be believed, and why the others cannot."""
    kept: dict[str, Mapping[str, Json]] = {}
    wrong = []
    for each in announced:
        if fault := _fault_of_step_type(each, kept):
            wrong.append(f"step type {str(each.get('name'))[:LONGEST_NAME]!r} is left out: {fault}")
        else:
            kept[str(each["name"])] = each
    return tuple(kept.values()), tuple(wrong)


def marks(wrong: Sequence[str], quarantined: Sequence[Mapping[str, Json]]) -> tuple[Mapping[str, Json], ...]:
    """Return the plugins that a host cannot use, and before them what is wrong with its report."""
    own = [{"distribution": AGENT, "reason": "; ".join(wrong)[:LONGEST_TEXT]}] if wrong else []
    return (*own, *map(_mark, quarantined[:MOST_QUARANTINED]))


def _fault_of_step_type(announced: Mapping[str, Any], kept: Mapping[str, object]) -> str:
    name = announced.get("name")
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        return "its name is not of the form area.verb"
    if name in kept:
        return "it is announced twice"
    if len(kept) >= MOST_STEP_TYPES:
        return f"there are more than {MOST_STEP_TYPES}"
    if not all(_is_effect(each) for each in (announced.get("effect", "once"), *_listed(announced))):
        return f"its effects are not among {', '.join(sorted(_EFFECTS))}"
    if not all(_is_short(announced.get(each, "")) for each in _TEXTS):
        return "its distribution or version is no short text"
    if any(not isinstance(announced.get(each, False), bool) for each in _FLAGS):
        return f"{' or '.join(_FLAGS)} is neither true nor false"
    if not isinstance(announced.get("reason", ""), str):
        return "its reason is no text"
    if any(not isinstance(announced.get(each, {}), dict) for each in _SCHEMAS):
        return "a schema is no object"
    if (depth := _depth(announced)) > DEEPEST:
        return f"it is nested {depth} deep; at most {DEEPEST}"
    return ""


def _listed(announced: Mapping[str, Any]) -> Sequence[object]:
    effects = announced.get("author_effects", ())
    return effects if isinstance(effects, list | tuple) else (None,)


def _is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME


def _is_effect(value: object) -> bool:
    return isinstance(value, str) and value in _EFFECTS


def _mark(quarantined: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a plugin that cannot be used, as two short texts."""
    return {
        "distribution": str(quarantined.get("distribution", "?"))[:LONGEST_NAME],
        "reason": str(quarantined.get("reason", ""))[:LONGEST_TEXT],
    }


def _depth(value: object) -> int:
    """Return how deep a value is nested; level by level, so that no depth is too deep to be measured."""
    depth, level = 0, [value]
    while level := [inner for each in level if isinstance(each, dict | list) for inner in _inside(each)]:
        depth += 1
    return depth


def _inside(value: Any) -> Sequence[object]:
    return list(value.values()) if isinstance(value, dict) else value
