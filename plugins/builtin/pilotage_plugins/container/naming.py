"""The names of containers, networks and volumes."""

from typing import Annotated, Final

from pydantic import Field

NAME_PATTERN: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$"

ContainerName = Annotated[str, Field(pattern=NAME_PATTERN, max_length=200)]
"""A container's name, or its id where one is only looked at or acted upon."""

ObjectName = Annotated[str, Field(pattern=NAME_PATTERN, max_length=200)]
"""The name of a network or a volume."""
