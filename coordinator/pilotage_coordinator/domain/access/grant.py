"""Grants: a role, given within limits; and the one rule that says whether somebody may do something."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilotage_coordinator.domain.access.permission import OWN, SELF, includes, within_kind
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import Role
from pilotage_coordinator.domain.access.scope import EVERYTHING, Scope, Subject


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that a principal holds, within limits."""

    role: Role
    scope: Scope = EVERYTHING


def may(kind: PrincipalKind, grants: Sequence[Grant], permission: str, subject: Subject) -> bool:
    """Return whether a principal may do what asks for `permission` to `subject`. Denied unless a grant gives it.

    Of a subject that touches several hosts, each must lie inside some grant: one for staging and one for development
    let somebody run on both at once.
    """
    if permission == SELF:
        return True
    scopes = _scopes(kind, grants, permission, subject)
    return all(any(scope.covers_host(host) for scope in scopes) for host in subject.hosts or (None,))


def may_somewhere(kind: PrincipalKind, grants: Sequence[Grant], permission: str, subject: Subject) -> bool:
    """Return whether there may be hosts on which somebody may do it: what is asked before the hosts are known."""
    return permission == SELF or bool(_scopes(kind, grants, permission, subject))


def might(kind: PrincipalKind, grants: Sequence[Grant], permission: str, *, own: bool | None = None) -> bool:
    """Return whether there may be anything to which a principal may do it: what is asked before looking at it.

    `own`: asked of one's own things, or of others', only.
    """
    if permission == SELF:
        return True
    return any(
        within_kind(kind, permission, own=each) and grant.role.gives(permission, own=each)
        for grant in grants
        for each in ((False, True) if own is None else (own,))
    )


def held(kind: PrincipalKind, grants: Sequence[Grant], permissions: Iterable[str]) -> list[str]:
    """Return which of `permissions` grants give, limits aside; one for one's own things only has `:own` at its end."""
    found: list[str] = []
    for permission in permissions:
        if might(kind, grants, permission, own=False):
            found.append(permission)
        elif might(kind, grants, permission, own=True):
            found.append(permission + OWN)
    return found


def holds_all(kind: PrincipalKind, grants: Sequence[Grant], role: Role, scope: Scope) -> bool:
    """Return whether somebody holds all that a role within a scope gives: nobody may give more than that.

    Only a person may give at all.
    """
    if kind is not PrincipalKind.PERSON:
        return False
    return all(
        any(
            grant.scope.contains(scope) and any(includes(wide, pattern) for wide in grant.role.permissions)
            for grant in grants
        )
        for pattern in role.permissions
    )


def _scopes(kind: PrincipalKind, grants: Sequence[Grant], permission: str, subject: Subject) -> list[Scope]:
    """Return the scopes within which a permission is held, of those in which the subject's blueprint lies."""
    if not within_kind(kind, permission, own=subject.own):
        return []
    return [
        grant.scope
        for grant in grants
        if grant.role.gives(permission, own=subject.own) and grant.scope.covers_blueprint(subject)
    ]
