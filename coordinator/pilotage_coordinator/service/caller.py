"""Who asks for an operation, as a face proved it."""

from dataclasses import dataclass
from enum import StrEnum

from pilotage_coordinator.domain.access.grant import Grant, may, may_somewhere, might
from pilotage_coordinator.domain.access.permission import DECIDE
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN, OWNER
from pilotage_coordinator.domain.access.scope import WHOLE, Subject


class Face(StrEnum):
    """Through which door a request came."""

    SOCKET = "socket"
    HTTPS = "https"
    MCP = "mcp"
    """Tools of an assistant's client, at either of the two."""
    SCHEDULE = "schedule"
    """No door: a schedule asks, with what its owner may do at this moment."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal and what it holds at this moment. `principal` is its name, which is its identity for ever."""

    principal: str
    kind: PrincipalKind
    grants: tuple[Grant, ...] = ()
    face: Face = Face.SOCKET
    token: str = ""
    """Id of the token that proved it; empty for the owner on the coordinator's own socket."""
    token_expires_at: int = 0
    sponsor: str = ""
    issued: bool = False
    """Whether an identity token of an outside issuer proved it: then it decides on nothing."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the names of the roles that it holds, whatever their limits."""
        return tuple(sorted({grant.role.name for grant in self.grants}))

    @property
    def local(self) -> bool:
        """Return whether it is the owner at the coordinator's own socket, by the kernel's word and with no token."""
        return self.face is Face.SOCKET and not self.token

    def might(self, permission: str) -> bool:
        """Return whether there may be anything to which the caller may do it: asked before looking at it."""
        return self._good_for(permission) and might(self.kind, self.grants, permission)

    def may(self, permission: str, subject: Subject) -> bool:
        """Return whether the caller may do it to `subject`."""
        return self._good_for(permission) and may(self.kind, self.grants, permission, subject)

    def may_somewhere(self, permission: str, subject: Subject) -> bool:
        """Return whether there may be hosts on which the caller may do it."""
        return self._good_for(permission) and may_somewhere(self.kind, self.grants, permission, subject)

    def _good_for(self, permission: str) -> bool:
        """Return whether what the caller showed is good for a permission at all."""
        return not (self.issued and permission == DECIDE)

    def unlimited(self, permission: str) -> bool:
        """Return whether the caller may do it to everything."""
        return self.may(permission, WHOLE)


def socket_owner(principal: str) -> Caller:
    """Return the caller behind the coordinator's own unix socket: its owner, who may do everything."""
    return Caller(principal, PrincipalKind.PERSON, (Grant(BUILT_IN[OWNER]),))
