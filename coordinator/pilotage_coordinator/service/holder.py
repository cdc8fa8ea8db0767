"""From rows of the store to what somebody may do."""

from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN, Role
from pilotage_coordinator.domain.access.scope import scope_of
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.store.records import Holder, RoleRecord
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.service")


def caller_of(holder: Holder, face: Face) -> Caller:
    """Return the caller that a principal is at this moment."""
    principal, token = holder.principal, holder.token
    return Caller(
        principal.name,
        PrincipalKind(principal.kind),
        grants_of(holder),
        face,
        token.id if token is not None else "",
        token.expires_at if token is not None else 0,
        principal.sponsor,
    )


def grants_of(holder: Holder) -> tuple[Grant, ...]:
    """Return what a principal holds. A grant that cannot be read gives nothing: its limits are not known."""
    made = {row.name: role_of(row) for row in holder.roles}
    found: list[Grant] = []
    for row in holder.grants:
        role = BUILT_IN.get(row.role) or made.get(row.role)
        try:
            if role is not None:
                found.append(Grant(role, scope_of(row.scope)))
        except AccessRefused as error:
            log.error("grant.unreadable", principal=row.principal, role=row.role, error=str(error))
    return tuple(found)


def role_of(row: RoleRecord) -> Role:
    """Return a role that was made by command."""
    return Role(row.name, frozenset(row.permissions), row.description)
