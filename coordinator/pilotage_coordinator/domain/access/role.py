"""Roles: named sets of permissions. The built-in ones are the product's and never change; people make others."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pilotage_coordinator.domain.access.permission import gives

OWNER: Final = "owner"
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,61}")
NAME_IN_WORDS: Final = "a role's name has at most 62 lower-case letters, digits and _ -, and begins with a letter"
MOST_PERMISSIONS: Final = 200


@dataclass(frozen=True, slots=True)
class Role:
    """A set of permissions, as patterns."""

    name: str
    permissions: frozenset[str]
    description: str = ""
    built_in: bool = False

    def gives(self, permission: str, *, own: bool) -> bool:
        """Return whether it gives a permission for a thing that is the caller's own or not."""
        return any(gives(pattern, permission, own=own) for pattern in self.permissions)


_LOOK: Final = (
    "blueprint.read", "plan.read", "run.read", "log.read", "host.read", "notification.read", "policy.read",
    "approval.read", "role.read", "compliance.read", "schedule.read",
)  # fmt: skip
_TOKENS_OF_ONE_S_OWN: Final = ("token.read:own", "token.write:own", "principal.read:own")


def _built_in(name: str, description: str, *permissions: str) -> Role:
    return Role(name, frozenset(permissions), description, built_in=True)


BUILT_IN: Final[Mapping[str, Role]] = MappingProxyType(
    {
        role.name: role
        for role in (
            _built_in(OWNER, "Everything, principals and the coordinator itself included.", "*"),
            _built_in("reader", "Looks at what there is and what runs; changes nothing.", *_LOOK),
            _built_in(
                "operator",
                "Plans, starts, schedules and steers executions.",
                *_LOOK, *_TOKENS_OF_ONE_S_OWN, "coordinator.read", "secret.read",
                "plan.make", "run.start", "run.control", "run.resolve", "run.release",
                "notification.write", "approval.request", "schedule.write",
            ),
            _built_in(
                "approver",
                "Looks at plans and decides on requests for approval.",
                *_LOOK, *_TOKENS_OF_ONE_S_OWN, "approval.decide", "run.release",
            ),
            _built_in(
                "author",
                "Writes blueprints and plans them; starts nothing.",
                *_LOOK, *_TOKENS_OF_ONE_S_OWN, "secret.read", "blueprint.write", "plan.make",
            ),
            _built_in(
                "auditor",
                "Reads everything, the audit log included; changes nothing.",
                "*.read", "audit.export", *_TOKENS_OF_ONE_S_OWN,
            ),
            _built_in(
                "assistant",
                "Reads, plans and requests executions; steers its own only.",
                "blueprint.read", "plan.read", "plan.make", "run.read", "log.read", "host.read", "notification.read",
                "policy.read", "schedule.read", "approval.read", "approval.request", "run.start", "run.control:own",
            ),
        )
    }
)  # fmt: skip
"""In the order in which people are shown them."""
