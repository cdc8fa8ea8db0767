"""A value of a plan in a message: short, and recognisable."""

from collections.abc import Mapping
from typing import Any


def shortened(value: Any) -> str:
    """Return at most 60 characters; of a step, its path."""
    if isinstance(value, Mapping) and "path" in value:
        return str(value["path"])
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
