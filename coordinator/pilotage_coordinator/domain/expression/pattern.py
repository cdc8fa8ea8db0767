"""Regular expressions that take linear time, whatever their author wrote."""

from importlib import import_module
from typing import Any, Final

from pilotage_coordinator.domain.errors import ValueRefused

LIBRARY: Final = "pilotage_coordinator.domain.expression.library"
"""Imported with the first pattern: executions have few, and a coordinator serves its agents before (see `late`)."""


def matches_whole(pattern: str, text: str) -> bool:
    """Return whether `pattern` matches all of `text`.

    Python's `re` can take years on `(a+)+b` and cannot be interrupted; CEL's engine is linear, and has neither
    look-around nor back-references. Raises ValueRefused when the pattern cannot be read.
    """
    return matches_somewhere(rf"\A(?:{pattern})\z", text)


def matches_somewhere(pattern: str, text: str) -> bool:
    """Return whether `pattern` matches a part of `text`, as JSON Schema's `pattern` asks; see matches_whole."""
    try:
        cel: Any = import_module(LIBRARY).cel
        return bool(cel.evaluate("text.matches(pattern)", {"text": text, "pattern": pattern}))
    except (ValueError, RuntimeError, TypeError) as error:
        raise ValueRefused(f"the pattern `{pattern[:60]}` cannot be read; it knows no look-around: {error}") from None
