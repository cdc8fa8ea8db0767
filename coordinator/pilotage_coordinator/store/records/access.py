"""Rows of principals, roles, grants and tokens. Who may do what is judged in `domain.access`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """One row of principals; `domain.access.principal.Principal` says what the fields mean."""

    name: str
    kind: str
    created_at: int
    created_by: str
    description: str = ""
    local_user: str = ""
    sponsor: str = ""
    keys: tuple[str, ...] = ()
    disabled_at: int | None = None


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """A role that was made by command."""

    name: str
    permissions: tuple[str, ...]
    """Sorted."""
    description: str
    updated_at: int
    updated_by: str


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A role that a principal holds, built-in or made, and its limits."""

    principal: str
    role: str
    granted_at: int
    granted_by: str
    scope: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """An API token; only its digest is here."""

    id: str
    hash: str
    principal: str
    name: str
    """What it is for, as people call it."""
    created_at: int
    created_by: str
    expires_at: int
    last_used_at: int | None = None
    """Within a minute or so; written now and then, not with each request."""
    revoked_at: int | None = None
    revoked_by: str = ""
    replaced_by: str = ""
    """Id of the token that it was rotated into."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A principal with everything that decides what it may do, of one moment."""

    principal: PrincipalRecord
    grants: tuple[GrantRecord, ...]
    roles: tuple[RoleRecord, ...]
    """Those of the granted roles that were made by command."""
    token: TokenRecord | None = None
    """By which it was found."""
