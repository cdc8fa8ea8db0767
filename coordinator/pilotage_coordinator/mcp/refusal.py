"""Refusals that a model can act on: what was wrong, where, what is allowed, and the nearest right name.

Nothing that was given comes back: it may be a secret.
"""

from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from pilotage_coordinator.mcp.untrusted import clean, cut
from pilotage_coordinator.service.errors import ServiceError

MOST_PROBLEMS: Final = 20
LONGEST: Final = 2_000


def of_arguments(tool: str, model: type[BaseModel], error: ValidationError) -> str:
    """Return what is wrong with a call's arguments."""
    lines = []
    for each in error.errors(include_url=False, include_context=False, include_input=False)[:MOST_PROBLEMS]:
        place = ".".join(str(part) for part in each["loc"])
        lines.append(f"- {clean(place[:100]) or 'arguments'}: {_message(model, each)}")
    return "\n".join([f"{tool} was not called: its arguments do not fit.", *lines])


def of_service(tool: str, error: ServiceError) -> str:
    """Return why an operation was refused, every problem with its place, and the fix."""
    lines = [f"{tool}: {error.detail}"]
    for each in error.problems[:MOST_PROBLEMS]:
        place = ":".join(str(part) for part in (each.file, each.line, each.column) if part)
        where = " ".join(part for part in (place, each.path, f"on {each.host}" if each.host else "") if part)
        fix = f" ({each.fix})" if each.fix else ""
        if each.message not in error.detail or fix:
            lines.append(f"- {where + ': ' if where else ''}{each.message}{fix}")
    left = len(error.problems) - MOST_PROBLEMS
    if left > 0:
        lines.append(f"- and {left} more problems")
    if error.fix:
        lines.append(f"What to do: {error.fix}")
    lines.append(f"Kind of failure: {error.kind.value}")
    return "\n".join(cut(clean(line), LONGEST) for line in lines)


def unknown_tool(name: str, known: list[str]) -> str:
    """Return that there is no such tool, with the nearest one that there is for the caller."""
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none for this credential'}"
    return f"there is no tool {clean(name[:100])!r} for this credential: {hint}"


def _message(model: type[BaseModel], problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        known = list(model.model_fields)
        near = get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
        return f"there is no such argument: {hint}"
    if problem["type"] == "missing":
        return "it is required"
    text = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "it must be")
    return clean(text[:500])
