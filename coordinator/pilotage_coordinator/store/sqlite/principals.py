"""Principals, roles, grants and tokens on SQLite."""

import sqlite3
from collections.abc import Callable, Mapping

from pilotage_coordinator.store.errors import NotFound, Refused
from pilotage_coordinator.store.records import (
    AuditEntry,
    GrantRecord,
    Holder,
    PrincipalRecord,
    RoleRecord,
    TokenRecord,
)
from pilotage_coordinator.store.sqlite.access import Access, Row
from pilotage_coordinator.store.sqlite.audit import append_audit
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.queries import Queries

Audit = tuple[AuditEntry, ...]


class SqlitePrincipals:
    """Implements `AccessStore`."""

    def __init__(self, access: Access) -> None:
        """Work on this database."""
        self._access = access

    # --- principals -------------------------------------------------------------------------------------------

    async def add_principal(
        self, principal: PrincipalRecord, grants: tuple[GrantRecord, ...] = (), audit: Audit = ()
    ) -> None:
        """Add a principal and what it holds."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            taken = connection.execute(queries["principal_like"], (principal.name,)).fetchone()
            if taken is not None:
                raise Refused(f"there is a principal {taken[0]} already, and a name is never given twice")
            connection.execute(queries["principal_insert"], _principal_row(principal))
            connection.executemany(queries["grant_put"], [_grant_row(each) for each in grants])
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def principal(self, name: str) -> PrincipalRecord:
        """Return a principal."""
        found = await self._access.records("principal_by_name", (name,), _principal)
        if not found:
            raise _no_principal(name)
        return found[0]

    async def local(self, user: str) -> PrincipalRecord | None:
        """Return the principal of a system user."""
        found = await self._access.records("principal_by_local_user", (user,), _principal)
        return found[0] if found else None

    async def principals(self) -> tuple[PrincipalRecord, ...]:
        """Return all principals, by name."""
        return await self._access.records("principals_all", (), _principal)

    async def disable(self, name: str, at: int | None, audit: Audit = ()) -> None:
        """Disable a principal, or enable it again."""
        await self._change("principal_disable", (at, name), lambda: _no_principal(name), audit)

    async def set_keys(self, name: str, keys: tuple[str, ...], audit: Audit = ()) -> None:
        """Replace a principal's public keys."""
        await self._change("principal_keys", (write_json(keys), name), lambda: _no_principal(name), audit)

    # --- grants and roles -------------------------------------------------------------------------------------

    async def grant(self, grant: GrantRecord, audit: Audit = ()) -> bool:
        """Give a role within a scope."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> bool:
            if connection.execute(queries["principal_by_name"], (grant.principal,)).fetchone() is None:
                raise _no_principal(grant.principal)
            new = connection.execute(queries["grant_put"], _grant_row(grant)).rowcount > 0
            append_audit(connection, queries, audit)
            return new

        return await self._access.writes.submit(work)

    async def withdraw(self, principal: str, role: str, scope: Mapping[str, object] | None, audit: Audit = ()) -> int:
        """Take a role away."""
        queries = self._access.queries
        query = "grants_of_role_remove" if scope is None else "grant_remove"
        row = (principal, role) if scope is None else (principal, role, _scope_text(scope))

        def work(connection: sqlite3.Connection) -> int:
            gone = connection.execute(queries[query], row).rowcount
            if gone:
                append_audit(connection, queries, audit)
            return gone

        return await self._access.writes.submit(work)

    async def grants(self, principal: str = "", role: str = "") -> tuple[GrantRecord, ...]:
        """Return grants."""
        if principal:
            found = await self._access.records("grants_of", (principal,), _grant)
            return tuple(each for each in found if not role or each.role == role)
        if role:
            return await self._access.records("grants_of_role", (role,), _grant)
        return await self._access.records("grants_all", (), _grant)

    async def role(self, name: str) -> RoleRecord:
        """Return a role."""
        found = await self._access.records("role_by_name", (name,), _role)
        if not found:
            raise NotFound(f"there is no role {name}: `pilotage role list` shows them")
        return found[0]

    async def roles(self) -> tuple[RoleRecord, ...]:
        """Return all roles that were made by command."""
        return await self._access.records("roles_all", (), _role)

    async def put_role(self, role: RoleRecord, audit: Audit = ()) -> bool:
        """Store or replace a role."""
        queries = self._access.queries
        row = (role.name, role.description, write_json(sorted(role.permissions)), role.updated_at, role.updated_by)

        def work(connection: sqlite3.Connection) -> bool:
            new = connection.execute(queries["role_by_name"], (role.name,)).fetchone() is None
            connection.execute(queries["role_put"], row)
            append_audit(connection, queries, audit)
            return new

        return await self._access.writes.submit(work)

    async def remove_role(self, name: str, audit: Audit = ()) -> None:
        """Remove a role that nobody holds."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            held = [row[0] for row in connection.execute(queries["grants_of_role"], (name,))]
            if held:
                raise Refused(
                    f"role {name} is held by {', '.join(sorted(set(held))[:10])}: "
                    f"take it away first, with `pilotage principal role NAME --remove {name}`"
                )
            if connection.execute(queries["role_remove"], (name,)).rowcount == 0:
                raise NotFound(f"there is no role {name} that was made by command: `pilotage role list` shows them")
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def holder(self, name: str) -> Holder:
        """Return a principal and what it holds."""
        queries = self._access.queries
        found = await self._access.database.read(lambda connection: _holder(connection, queries, name, None))
        if found is None:
            raise _no_principal(name)
        return found

    # --- tokens -----------------------------------------------------------------------------------------------

    async def bearer(self, hash: str) -> Holder | None:
        """Return whom a token belongs to."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> Holder | None:
            row = connection.execute(queries["token_by_hash"], (hash,)).fetchone()
            return None if row is None else _holder(connection, queries, row[2], TokenRecord(*row))

        return await self._access.database.read(work)

    async def add_token(self, token: TokenRecord, audit: Audit = ()) -> None:
        """Store a token."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            _put_token(connection, queries, token)
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def token(self, id: str) -> TokenRecord:
        """Return a token."""
        row = await self._access.row("token_by_id", (id,))
        if row is None:
            raise _no_token(id)
        return TokenRecord(*row)

    async def tokens(self, principal: str = "") -> tuple[TokenRecord, ...]:
        """Return tokens."""
        rows = await (self._access.rows("tokens_of", (principal,)) if principal else self._access.rows("tokens_all"))
        return tuple(TokenRecord(*row) for row in rows)

    async def rotate(self, id: str, new: TokenRecord, audit: Audit = ()) -> None:
        """Store a token in the place of another."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            _put_token(connection, queries, new)
            _revoke(connection, queries, id, new.created_at, new.created_by, new.id)
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def revoke_token(self, id: str, at: int, by: str, audit: Audit = ()) -> None:
        """Revoke a token."""
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            _revoke(connection, queries, id, at, by, "")
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)

    async def used(self, moments: Mapping[str, int]) -> None:
        """Note when tokens were last used."""
        sql = self._access.queries["token_used"]
        rows = [(at, id, at) for id, at in moments.items()]
        await self._access.writes.submit(lambda connection: connection.executemany(sql, rows).rowcount)

    async def remove_expired(self, before: int) -> int:
        """Forget tokens that expired before a time."""
        sql = self._access.queries["tokens_expire"]
        return await self._access.writes.submit(lambda connection: connection.execute(sql, (before,)).rowcount)

    async def _change(self, query: str, row: Row, missing: Callable[[], NotFound], audit: Audit) -> None:
        queries = self._access.queries

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(queries[query], row).rowcount == 0:
                raise missing()
            append_audit(connection, queries, audit)

        await self._access.writes.submit(work)


def _holder(connection: sqlite3.Connection, queries: Queries, name: str, token: TokenRecord | None) -> Holder | None:
    row = connection.execute(queries["principal_by_name"], (name,)).fetchone()
    if row is None:
        return None
    grants = tuple(_grant(each) for each in connection.execute(queries["grants_of"], (name,)).fetchall())
    roles = [connection.execute(queries["role_by_name"], (each,)).fetchone() for each in {one.role for one in grants}]
    return Holder(_principal(row), grants, tuple(_role(each) for each in roles if each is not None), token)


def _put_token(connection: sqlite3.Connection, queries: Queries, token: TokenRecord) -> None:
    row = connection.execute(queries["principal_by_name"], (token.principal,)).fetchone()
    if row is None:
        raise _no_principal(token.principal)
    if _principal(row).disabled_at is not None:
        raise Refused(f"{token.principal} is disabled and gets no token: `pilotage principal enable` ends that")
    connection.execute(
        queries["token_insert"],
        (
            token.id, token.hash, token.principal, token.name, token.created_at, token.created_by, token.expires_at,
            token.last_used_at, token.revoked_at, token.revoked_by, token.replaced_by,
        ),
    )  # fmt: skip


def _revoke(connection: sqlite3.Connection, queries: Queries, id: str, at: int, by: str, replaced_by: str) -> None:
    if connection.execute(queries["token_revoke"], (at, by, replaced_by, id)).rowcount:
        return
    if connection.execute(queries["token_by_id"], (id,)).fetchone() is None:
        raise _no_token(id)
    raise Refused(f"token {id} is revoked already")


def _principal_row(principal: PrincipalRecord) -> Row:
    return (
        principal.name, principal.kind, principal.description, principal.local_user, principal.sponsor,
        write_json(principal.keys), principal.created_at, principal.created_by, principal.disabled_at,
    )  # fmt: skip


def _principal(row: Row) -> PrincipalRecord:
    name, kind, description, local_user, sponsor, keys, created_at, created_by, disabled_at = row
    return PrincipalRecord(
        name=name,
        kind=kind,
        created_at=created_at,
        created_by=created_by,
        description=description,
        local_user=local_user,
        sponsor=sponsor,
        keys=tuple(read_json(keys)),
        disabled_at=disabled_at,
    )


def _grant_row(grant: GrantRecord) -> Row:
    return (grant.principal, grant.role, _scope_text(grant.scope), grant.granted_at, grant.granted_by)


def _scope_text(scope: Mapping[str, object]) -> str:
    """Return limits as the text that tells one grant from another: their names in one order."""
    return write_json({name: scope[name] for name in sorted(scope)})


def _grant(row: Row) -> GrantRecord:
    principal, role, scope, granted_at, granted_by = row
    return GrantRecord(principal, role, granted_at, granted_by, read_json(scope))


def _role(row: Row) -> RoleRecord:
    name, description, permissions, updated_at, updated_by = row
    return RoleRecord(name, tuple(read_json(permissions)), description, updated_at, updated_by)


def _no_principal(name: str) -> NotFound:
    return NotFound(f"there is no principal {name}: `pilotage principal list` shows them")


def _no_token(id: str) -> NotFound:
    return NotFound(f"there is no token {id}: `pilotage token list` shows them")
