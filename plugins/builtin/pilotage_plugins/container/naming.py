"""The names of containers, networks and volumes."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

NAME_PATTERN: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$"

ContainerName = Annotated[str, Field(pattern=NAME_PATTERN, max_length=200)]
"""A container's name, or its id where one is only looked at or acted upon."""

ObjectName = Annotated[str, Field(pattern=NAME_PATTERN, max_length=200)]
"""The name of a network or a volume."""


def name_in_list(listed: Mapping[str, Any]) -> str:
    """Return a container's own name from a list's entry, where names that links gave it (/web/db) stand, too."""
    return min((str(name) for name in listed["Names"]), key=lambda name: name.count("/")).lstrip("/")
