"""Nobody gives more than they hold, and nobody changes who they are through somebody who may do more."""

from pilotage_coordinator.domain.access.grant import holds_all
from pilotage_coordinator.domain.access.role import BUILT_IN, Role
from pilotage_coordinator.domain.access.scope import EVERYTHING, Scope
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Denied
from pilotage_coordinator.service.holder import grants_of, role_of
from pilotage_coordinator.service.services import Services


def require_local(caller: Caller, what: str) -> None:
    """Raise Denied unless the owner asks at the coordinator's own socket: for what no token, once stolen, may do."""
    if not caller.local:
        raise Denied(
            f"{what} on the coordinator's own machine, by its owner, and with no token",
            fix="run the same command there, without PILOTAGE_TOKEN or a token file",
        )


async def role_named(services: Services, name: str) -> Role:
    """Return a role, built-in or made; raises store.NotFound."""
    return BUILT_IN.get(name) or role_of(await services.store.access.role(name))


def require_all_of(caller: Caller, role: Role, scope: Scope = EVERYTHING) -> None:
    """Raise Denied unless the caller holds all that a role within a scope gives."""
    if not holds_all(caller.kind, caller.grants, role, scope):
        raise Denied(
            f"{caller.principal} may not give the role {role.name}"
            + ("" if scope.unlimited else f" ({scope})")
            + ": it holds more than they do",
            fix="somebody who holds all of it must do that, such as an owner; services and assistants never may",
        )


async def require_above(services: Services, caller: Caller, principal: str) -> None:
    """Raise Denied unless the caller holds all that a principal holds: else their token would be a way to more."""
    if principal == caller.principal:
        return
    for grant in grants_of(await services.store.access.holder(principal)):
        require_all_of(caller, grant.role, grant.scope)
