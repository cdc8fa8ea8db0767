"""Operations on roles: the built-in ones are shown, others are made, changed and removed."""

from difflib import get_close_matches
from typing import Annotated

from pydantic import Field, StringConstraints

from pilotage_coordinator.domain.access.permission import OWN, check_patterns, gives
from pilotage_coordinator.domain.access.role import BUILT_IN, MOST_PERMISSIONS, NAME, NAME_IN_WORDS, Role
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Invalid
from pilotage_coordinator.service.granting import require_all_of, role_named
from pilotage_coordinator.service.holder import role_of
from pilotage_coordinator.service.operations import OPERATIONS, PERMISSIONS
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Name, Page, PageRequest, Request, shaped
from pilotage_coordinator.store.records import RoleRecord

RoleName = Annotated[str, *shaped(NAME.pattern, NAME_IN_WORDS)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class ListRoles(PageRequest):
    """Ask for roles, the built-in ones first."""


class ShowRole(Request):
    """Ask for one role."""

    role: Name

    def subject(self) -> str:
        return self.role


class SetRole(Request):
    """Make a role, or change one that was made; `permissions` replace those that it had."""

    role: RoleName
    permissions: Annotated[list[Pattern], Field(min_length=1, max_length=MOST_PERMISSIONS)]
    """Such as `run.start`, `run.*`, `*.read`, `*`; with `:own` at the end for the holder's own things only."""
    description: Annotated[str, StringConstraints(max_length=500)] = ""

    def subject(self) -> str:
        return self.role


class RemoveRole(Request):
    """Remove a role that nobody holds."""

    role: Name

    def subject(self) -> str:
        return self.role


class RoleSummary(Answer):
    """A role in a list."""

    role: str
    description: str
    built_in: bool
    permissions: list[str]


class RoleDetail(RoleSummary):
    """One role, whole."""

    operations: list[str]
    """What it lets its holder do; `:own` for its own things only."""
    holders: list[str]


class RoleRemoved(Answer):
    """A role was removed."""

    role: str


@verb("role.list")
async def list_roles(services: Services, caller: Caller, request: ListRoles) -> Page[RoleSummary]:
    """List roles, the built-in ones first."""
    roles = [*BUILT_IN.values(), *(role_of(row) for row in await services.store.access.roles())]
    start = next((place for place, role in enumerate(roles, 1) if role.name == request.cursor), 0)
    shown = roles[start : start + request.limit]
    more = start + len(shown) < len(roles)
    return Page(items=[_summary(role) for role in shown], next=shown[-1].name if more else "")


@verb("role.show")
async def show_role(services: Services, caller: Caller, request: ShowRole) -> RoleDetail:
    """Show one role: its permissions, the operations that they come to, and who holds it."""
    return await _detail(services, await role_named(services, request.role))


@verb("role.set")
async def set_role(services: Services, caller: Caller, request: SetRole) -> RoleDetail:
    """Make a role of one's own, or change it: whoever holds it has the new permissions at once."""
    if request.role in BUILT_IN:
        raise Conflict(f"the role {request.role} is built in and never changes", fix="make one under another name")
    check_patterns(request.permissions)
    _refuse_unknown(request.permissions)
    role = Role(request.role, frozenset(request.permissions), request.description)
    require_all_of(caller, role)
    audit = allowed(services, caller, "role.set", role.name, permissions=sorted(role.permissions))
    row = RoleRecord(
        role.name, tuple(sorted(role.permissions)), role.description, services.clock.now(), caller.principal
    )
    await services.store.access.put_role(row, audit)
    return await _detail(services, role)


@verb("role.rm")
async def remove_role(services: Services, caller: Caller, request: RemoveRole) -> RoleRemoved:
    """Remove a role that nobody holds any more."""
    if request.role in BUILT_IN:
        raise Conflict(f"the role {request.role} is built in and stays")
    await services.store.access.remove_role(request.role, allowed(services, caller, "role.rm", request.role))
    return RoleRemoved(role=request.role)


def _refuse_unknown(patterns: list[str]) -> None:
    """Raise Invalid for a pattern that gives nothing that there is: most likely it is a slip of the pen."""
    for pattern in patterns:
        if not any(gives(pattern, permission, own=True) for permission in PERMISSIONS):
            near = get_close_matches(pattern.removesuffix(OWN), PERMISSIONS, n=1)
            raise Invalid(
                f"the permission {pattern} gives nothing that there is",
                fix=f"did you mean {near[0]}?" if near else f"there are: {', '.join(PERMISSIONS)}",
            )


async def _detail(services: Services, role: Role) -> RoleDetail:
    holders = sorted({each.principal for each in await services.store.access.grants(role=role.name)})
    given = [
        row.name if role.gives(row.permission, own=False) else f"{row.name}{OWN}"
        for row in OPERATIONS.values()
        if role.gives(row.permission, own=True)
    ]
    return RoleDetail(**_summary(role).model_dump(), operations=given, holders=holders)


def _summary(role: Role) -> RoleSummary:
    return RoleSummary(
        role=role.name, description=role.description, built_in=role.built_in, permissions=sorted(role.permissions)
    )
