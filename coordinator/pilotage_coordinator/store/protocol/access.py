"""The port to principals, their roles and tokens."""

from collections.abc import Mapping
from typing import Protocol

from pilotage_coordinator.store.records import (
    AuditEntry,
    GrantRecord,
    Holder,
    PrincipalRecord,
    RoleRecord,
    TokenRecord,
)


class AccessStore(Protocol):
    """Who may do what. Every write takes effect with the next read: nothing is kept beside the database."""

    async def add_principal(
        self, principal: PrincipalRecord, grants: tuple[GrantRecord, ...] = (), audit: tuple[AuditEntry, ...] = ()
    ) -> None:
        """Add a principal and what it holds; raises Refused when the name is taken, in whatever case it is written."""
        ...

    async def principal(self, name: str) -> PrincipalRecord:
        """Return a principal, enabled or not; raises NotFound."""
        ...

    async def local(self, user: str) -> PrincipalRecord | None:
        """Return the principal to whom the coordinator's own socket belongs when this system user runs it."""
        ...

    async def principals(self) -> tuple[PrincipalRecord, ...]:
        """Return all principals, by name."""
        ...

    async def disable(self, name: str, at: int | None, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Disable a principal, or with None enable it again; raises NotFound."""
        ...

    async def set_keys(self, name: str, keys: tuple[str, ...], audit: tuple[AuditEntry, ...] = ()) -> None:
        """Replace a principal's public keys; raises NotFound."""
        ...

    async def grant(self, grant: GrantRecord, audit: tuple[AuditEntry, ...] = ()) -> bool:
        """Give a role within a scope; returns False when it is held already. Raises NotFound for the principal."""
        ...

    async def withdraw(
        self, principal: str, role: str, scope: Mapping[str, object] | None, audit: tuple[AuditEntry, ...] = ()
    ) -> int:
        """Take a role away within exactly this scope, or (None) within all; returns how many grants went."""
        ...

    async def grants(self, principal: str = "", role: str = "") -> tuple[GrantRecord, ...]:
        """Return the grants of a principal, of a role, or all."""
        ...

    async def role(self, name: str) -> RoleRecord:
        """Return a role that was made by command; raises NotFound."""
        ...

    async def roles(self) -> tuple[RoleRecord, ...]:
        """Return all roles that were made by command, by name."""
        ...

    async def put_role(self, role: RoleRecord, audit: tuple[AuditEntry, ...] = ()) -> bool:
        """Store or replace a role; returns whether it is new."""
        ...

    async def remove_role(self, name: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Remove a role; raises NotFound, and Refused while somebody holds it."""
        ...

    async def holder(self, name: str) -> Holder:
        """Return a principal and what it holds, of one moment; raises NotFound."""
        ...

    async def bearer(self, hash: str) -> Holder | None:
        """Return whom a token's digest belongs to, expired and revoked ones included; None for an unknown one."""
        ...

    async def add_token(self, token: TokenRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store a token; raises NotFound for the principal, Refused when it is disabled."""
        ...

    async def token(self, id: str) -> TokenRecord:
        """Return a token; raises NotFound."""
        ...

    async def tokens(self, principal: str = "") -> tuple[TokenRecord, ...]:
        """Return the tokens of a principal, or all."""
        ...

    async def rotate(self, id: str, new: TokenRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store `new` and revoke the other, in one transaction; raises NotFound, and Refused for a revoked one."""
        ...

    async def revoke_token(self, id: str, at: int, by: str, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Revoke a token from this moment on; raises NotFound, and Refused for a revoked one."""
        ...

    async def used(self, moments: Mapping[str, int]) -> None:
        """Note when tokens were last used: id to UTC microseconds; an earlier moment than the known one is dropped."""
        ...

    async def remove_expired(self, before: int) -> int:
        """Forget tokens that expired before a time; returns how many."""
        ...
