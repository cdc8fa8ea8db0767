"""Grants: a role, given within limits; and the one rule that says whether somebody may do something."""

from collections.abc import Sequence
from dataclasses import dataclass

from pilotage_coordinator.domain.access.permission import SELF, includes, within_kind
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
    if not within_kind(kind, permission, own=subject.own):
        return False
    giving = [grant.scope for grant in grants if grant.role.gives(permission, own=subject.own)]
    if not subject.hosts:
        return any(scope.covers(subject, None, about_hosts=False) for scope in giving)
    return all(any(scope.covers(subject, host, about_hosts=True) for scope in giving) for host in subject.hosts)


def might(kind: PrincipalKind, grants: Sequence[Grant], permission: str) -> bool:
    """Return whether there may be anything to which a principal may do it: what is asked before looking at it."""
    if permission == SELF:
        return True
    return any(
        within_kind(kind, permission, own=own) and grant.role.gives(permission, own=own)
        for grant in grants
        for own in (False, True)
    )


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
