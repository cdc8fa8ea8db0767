"""Who asks for an operation."""

from dataclasses import dataclass
from enum import StrEnum


class CallerKind(StrEnum):
    """What sort of principal a caller is."""

    PERSON = "person"
    SERVICE = "service"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal, as the face proved it. `permissions` may hold `*`, which stands for all of them."""

    principal: str
    kind: CallerKind
    permissions: frozenset[str] = frozenset()

    def may(self, permission: str) -> bool:
        """Return whether the caller holds `permission`."""
        return "*" in self.permissions or permission in self.permissions


def socket_owner(principal: str) -> Caller:
    """Return the caller behind the coordinator's 0600 unix socket: its owner, who may do everything."""
    return Caller(principal, CallerKind.PERSON, frozenset({"*"}))
