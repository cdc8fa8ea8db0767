"""Principals: who acts. Agents are none of them: their certificate says who they are, and they ask for nothing."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pilotage_coordinator.domain.access.errors import AccessRefused


class PrincipalKind(StrEnum):
    """What sort of principal it is. It never changes: what was made for an assistant stays an assistant."""

    PERSON = "person"
    SERVICE = "service"
    ASSISTANT = "assistant"
    """A language model's client. Whatever role it is given, it may only read, plan, request, and steer its own."""


NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?")
NAME_IN_WORDS: Final = (
    "a principal's name has at most 63 letters, digits and . _ @ -, and begins and ends with a letter or digit"
)
RESERVED: Final = frozenset({"coordinator", "pilotage", "anonymous"})
"""Names that the product itself signs with in histories."""
MOST_KEYS: Final = 10


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something that acts. Its name is its identity: never changed, never given twice, never removed."""

    name: str
    kind: PrincipalKind
    description: str = ""
    local_user: str = ""
    """The system user who runs the coordinator and whose socket this principal's is; empty for all others."""
    sponsor: str = ""
    """For an assistant or a service: the person on whose behalf it acts; may be empty."""
    keys: tuple[str, ...] = ()
    """OpenSSH public keys, one line each, with which this person signs decisions."""
    created_at: int = 0
    created_by: str = ""
    disabled_at: int | None = None

    @property
    def enabled(self) -> bool:
        """Return whether it may act at all."""
        return self.disabled_at is None


def check_name(name: str) -> None:
    """Raise AccessRefused unless `name` can be a new principal's."""
    if NAME.fullmatch(name) is None:
        raise AccessRefused(f"{name!r} is no name for a principal: {NAME_IN_WORDS}")
    if name.lower() in RESERVED:
        raise AccessRefused(f"{name!r} stands for the product itself in histories; choose another name")
