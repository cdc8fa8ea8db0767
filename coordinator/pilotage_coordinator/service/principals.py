"""Operations on principals: who there is, what they hold, and with which keys persons sign."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from pilotage_coordinator.domain.access.grant import Grant, held
from pilotage_coordinator.domain.access.principal import MOST_KEYS, PrincipalKind, check_name
from pilotage_coordinator.domain.access.public_key import read_public_key
from pilotage_coordinator.domain.access.role import OWNER
from pilotage_coordinator.domain.access.scope import EVERYTHING, Scope, Subject, scope_of
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Invalid
from pilotage_coordinator.service.granting import require_above, require_all_of, require_local, role_named
from pilotage_coordinator.service.holder import grants_of
from pilotage_coordinator.service.limits import Limits
from pilotage_coordinator.service.operations import PERMISSIONS
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Name, Page, PageRequest, Reason, Request, rfc3339
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import GrantRecord, Holder, PrincipalRecord

KeyLine = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
Keys = Annotated[list[KeyLine], Field(max_length=MOST_KEYS)]


class AddPrincipal(Request):
    """Add a person, a service or an assistant, with one role if `role` is given."""

    principal: Name
    kind: Literal["person", "service", "assistant"]
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    sponsor: Name | None = None
    """The person on whose behalf a service or an assistant acts."""
    role: Name | None = None
    limits: Limits = Limits()
    keys: Keys = Field(default_factory=list)
    """OpenSSH public keys of a person."""

    def subject(self) -> str:
        return self.principal


class ListPrincipals(PageRequest):
    """Ask for principals, by name."""


class NamedPrincipal(Request):
    """Ask for one principal."""

    principal: Name

    def subject(self) -> str:
        return self.principal


class DisablePrincipal(NamedPrincipal):
    """Let a principal do nothing more: its tokens are of no use from this moment on."""

    reason: Reason = ""


class EnablePrincipal(NamedPrincipal):
    """Let a principal act again, with what it held before; its tokens that have not ended work again."""


class SetPrincipalRole(NamedPrincipal):
    """Give a role within limits; or take it away, within exactly these limits or (without any) within all."""

    role: Name
    action: Literal["add", "remove"]
    limits: Limits = Limits()


class SetPrincipalKeys(NamedPrincipal):
    """Add public keys to those with which a person signs decisions, or remove some by their fingerprints."""

    add: Keys = Field(default_factory=list)
    remove: Annotated[list[Name], Field(max_length=MOST_KEYS)] = Field(default_factory=list)


class GrantAnswer(Answer):
    """A role that a principal holds, and its limits in words and in parts."""

    role: str
    scope: str
    limits: dict[str, JsonValue]
    granted_by: str
    granted_at: str


class KeyAnswer(Answer):
    """A public key."""

    type: str
    fingerprint: str
    comment: str
    line: str


class PrincipalSummary(Answer):
    """A principal in a list."""

    principal: str
    kind: str
    description: str
    enabled: bool
    roles: list[str]
    sponsor: str
    local: bool
    """Whether the coordinator's own socket is its."""
    created_at: str
    created_by: str


class PrincipalDetail(PrincipalSummary):
    """One principal, whole."""

    grants: list[GrantAnswer]
    permissions: list[str]
    """What it may do, limits aside; `:own` for its own things only. An assistant's are fewer than its roles say."""
    keys: list[KeyAnswer]
    disabled_at: str


@verb("principal.add")
async def add_principal(services: Services, caller: Caller, request: AddPrincipal) -> PrincipalDetail:
    """Add a person, a service or an assistant. It can do nothing before it has a role, and a token or a key."""
    check_name(request.principal)
    keys = _keys(caller, PrincipalKind(request.kind), request.keys)
    await _check_sponsor(services, request)
    now, by = services.clock.now(), caller.principal
    grants: tuple[GrantRecord, ...] = ()
    scope = request.limits.scope()
    if request.role is not None:
        role = await role_named(services, request.role)
        require_all_of(caller, role, scope)
        grants = (GrantRecord(request.principal, role.name, now, by, scope.to_json()),)
    elif scope != EVERYTHING:
        raise Invalid("limits are given, and no role that they limit", fix="name the role that they are for")
    detail: dict[str, Json] = {"kind": request.kind, "role": request.role or "", "scope": str(scope)}
    audit = allowed(
        services, caller, "principal.add", request.principal, **detail, sponsor=request.sponsor or "",
        keys=[read_public_key(key).fingerprint for key in keys],
    )  # fmt: skip
    row = PrincipalRecord(
        request.principal, request.kind, now, by, request.description, sponsor=request.sponsor or "", keys=keys
    )
    await services.store.access.add_principal(row, grants, audit)
    return await _detail(services, request.principal)


@verb("principal.list")
async def list_principals(services: Services, caller: Caller, request: ListPrincipals) -> Page[PrincipalSummary]:
    """List principals, by name."""
    roles: dict[str, set[str]] = {}
    for grant in await services.store.access.grants():
        roles.setdefault(grant.principal, set()).add(grant.role)
    rows = [
        row
        for row in await services.store.access.principals()
        if row.name > request.cursor and caller.may("principal.read", Subject(own=row.name == caller.principal))
    ]
    shown = rows[: request.limit]
    items = [_summary(services, row, sorted(roles.get(row.name, ()))) for row in shown]
    return Page(items=items, next=shown[-1].name if len(rows) > len(shown) else "")


@verb("principal.show")
async def show_principal(services: Services, caller: Caller, request: NamedPrincipal) -> PrincipalDetail:
    """Show one principal: its roles with their limits, what they come to, its keys."""
    return await _detail(services, request.principal)


@verb("principal.disable")
async def disable_principal(services: Services, caller: Caller, request: DisablePrincipal) -> PrincipalDetail:
    """Let a principal do nothing more, at once: its tokens are of no use from now on, and its streams end."""
    if request.principal == services.owner:
        raise Conflict(
            f"{request.principal} runs this coordinator and is its owner as long as it does",
            fix="let another user run the coordinator, then disable this one",
        )
    await require_above(services, caller, request.principal)
    audit = allowed(services, caller, "principal.disable", request.principal, reason=request.reason)
    if (await services.store.access.principal(request.principal)).disabled_at is None:
        await services.store.access.disable(request.principal, services.clock.now(), audit)
    return await _detail(services, request.principal)


@verb("principal.enable")
async def enable_principal(services: Services, caller: Caller, request: EnablePrincipal) -> PrincipalDetail:
    """Let a disabled principal act again, with the roles that it holds."""
    await require_above(services, caller, request.principal)
    audit = allowed(services, caller, "principal.enable", request.principal)
    await services.store.access.disable(request.principal, None, audit)
    return await _detail(services, request.principal)


@verb("principal.role")
async def set_principal_role(services: Services, caller: Caller, request: SetPrincipalRole) -> PrincipalDetail:
    """Give a principal a role, everywhere or within limits; or take it away."""
    scope = request.limits.scope()
    if request.action == "add":
        await _give(services, caller, request, scope)
    else:
        await _take(services, caller, request, scope)
    return await _detail(services, request.principal)


@verb("principal.keys")
async def set_principal_keys(services: Services, caller: Caller, request: SetPrincipalKeys) -> PrincipalDetail:
    """Add or remove public keys with which a person signs decisions."""
    row = await services.store.access.principal(request.principal)
    await require_above(services, caller, request.principal)
    added = _keys(caller, PrincipalKind(row.kind), request.add)
    present = {read_public_key(line).fingerprint: line for line in row.keys}
    unknown = [each for each in request.remove if each not in present]
    if unknown:
        raise Invalid(
            f"{row.name} has no key {unknown[0]}", fix=f"its keys: {', '.join(present) or 'none'}; name one as it is"
        )
    kept = [line for print, line in present.items() if print not in request.remove]
    fresh = [line for line in added if read_public_key(line).fingerprint not in present]
    if len(kept) + len(fresh) > MOST_KEYS:
        raise Invalid(f"a principal has at most {MOST_KEYS} keys", fix="remove one that is not used any more")
    audit = allowed(
        services, caller, "principal.keys", row.name,
        added=[read_public_key(line).fingerprint for line in fresh], removed=list(request.remove),
    )  # fmt: skip
    await services.store.access.set_keys(row.name, (*kept, *fresh), audit)
    return await _detail(services, row.name)


async def _give(services: Services, caller: Caller, request: SetPrincipalRole, scope: Scope) -> None:
    role = await role_named(services, request.role)
    require_all_of(caller, role, scope)
    audit = allowed(
        services, caller, "principal.role", request.principal, action="add", role=role.name, scope=str(scope)
    )
    grant = GrantRecord(request.principal, role.name, services.clock.now(), caller.principal, scope.to_json())
    await services.store.access.grant(grant, audit)


async def _take(services: Services, caller: Caller, request: SetPrincipalRole, scope: Scope) -> None:
    if request.principal == services.owner and request.role == OWNER:
        raise Conflict(f"{request.principal} runs this coordinator and is its owner as long as it does")
    await require_above(services, caller, request.principal)
    audit = allowed(
        services, caller, "principal.role", request.principal, action="remove", role=request.role, scope=str(scope)
    )
    exactly = None if scope.unlimited else scope.to_json()
    if not await services.store.access.withdraw(request.principal, request.role, exactly, audit):
        await services.store.access.principal(request.principal)
        limited = "" if scope.unlimited else f" limited to {scope}"
        raise Conflict(
            f"{request.principal} does not hold the role {request.role}{limited}",
            fix=f"`pilotage principal show {request.principal}` shows what it holds",
        )


def _keys(caller: Caller, kind: PrincipalKind, lines: list[str]) -> tuple[str, ...]:
    """Return public keys as they are stored; raises Denied and Invalid.

    With a key somebody decides as a person. So no token, whosever it is, is enough to add one: a stolen one could then
    approve what it asks for.
    """
    if not lines:
        return ()
    if kind is not PrincipalKind.PERSON:
        raise Invalid(f"a {kind.value} signs nothing: only persons have keys")
    require_local(caller, "keys are added")
    found = {key.fingerprint: key.line for key in map(read_public_key, lines)}
    return tuple(found.values())


async def _check_sponsor(services: Services, request: AddPrincipal) -> None:
    if request.sponsor is None:
        return
    if request.kind == "person":
        raise Invalid("a person acts for itself", fix="leave the sponsor out")
    try:
        sponsor = await services.store.access.principal(request.sponsor)
    except store_errors.NotFound as error:
        raise Invalid(f"there is no principal {request.sponsor} to be the sponsor") from error
    if sponsor.kind != PrincipalKind.PERSON or sponsor.disabled_at is not None:
        raise Invalid(f"{request.sponsor} cannot be the sponsor: it is no person, or disabled")


async def _detail(services: Services, name: str) -> PrincipalDetail:
    holder = await services.store.access.holder(name)
    row = holder.principal
    grants = grants_of(holder)
    return PrincipalDetail(
        **_summary(services, row, sorted({each.role for each in holder.grants})).model_dump(),
        grants=grant_answers(holder),
        permissions=permissions_of(PrincipalKind(row.kind), grants),
        keys=[
            KeyAnswer(type=key.type, fingerprint=key.fingerprint, comment=key.comment, line=key.line)
            for key in map(read_public_key, row.keys)
        ],
        disabled_at=rfc3339(row.disabled_at or 0),
    )


def permissions_of(kind: PrincipalKind, grants: tuple[Grant, ...]) -> list[str]:
    """Return what somebody may do, limits aside."""
    return held(kind, grants, PERMISSIONS)


def grant_answers(holder: Holder) -> list[GrantAnswer]:
    """Return what a principal holds, as it is shown."""
    return [
        GrantAnswer(
            role=each.role,
            scope=str(scope_of(each.scope)),
            limits=dict(each.scope),
            granted_by=each.granted_by,
            granted_at=rfc3339(each.granted_at),
        )
        for each in holder.grants
    ]


def _summary(services: Services, row: PrincipalRecord, roles: list[str]) -> PrincipalSummary:
    return PrincipalSummary(
        principal=row.name,
        kind=row.kind,
        description=row.description,
        enabled=row.disabled_at is None,
        roles=roles,
        sponsor=row.sponsor,
        local=row.name == services.owner,
        created_at=rfc3339(row.created_at),
        created_by=row.created_by,
    )
