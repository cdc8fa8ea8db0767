"""Who sends a request: the coordinator's own socket proves its owner, everybody else shows an API token."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

from pilotage_coordinator.security.api_tokens import check_form, token_digest
from pilotage_coordinator.security.errors import TokenRefused
from pilotage_coordinator.security.tokens import same_digest
from pilotage_coordinator.service.caller import Caller, Face, socket_owner
from pilotage_coordinator.service.errors import Unauthenticated, translated
from pilotage_coordinator.service.holder import caller_of
from pilotage_coordinator.service.ports import Clock
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import AuditEntry, Holder
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.service")

FLUSH_SECONDS: Final = 60.0
"""So long the store's word of when a token was last used may lag behind."""
TOLD_AGAIN: Final = 60 * 1_000_000
"""Microseconds before another attempt with the same useless token is audited again."""
MOST_TOLD: Final = 1_000
MAKE_ANOTHER: Final = "`pilotage token create PRINCIPAL`, run by an owner, makes a new one"


class Issued(Protocol):
    """Takes identity tokens: `service.issued.IssuedTokens`, which is imported only where an issuer is set."""

    async def caller(self, text: str, face: Face) -> Caller:
        """Return whose token it is; raises Unauthenticated, Unavailable."""
        ...


@dataclass(slots=True)
class Authentication:
    """Finds the caller of each request; what it finds is what the store says in that moment, never a memory of it."""

    store: Store
    clock: Clock
    owner: str
    """The principal to whom the coordinator's own socket belongs."""
    issued: Issued | None = None
    """What takes identity tokens of an outside issuer; None: nobody does."""
    _used: dict[str, int] = field(default_factory=dict)
    _told: dict[tuple[str, str], int] = field(default_factory=dict)

    def local(self) -> Caller:
        """Return the caller behind the coordinator's own socket."""
        return socket_owner(self.owner)

    async def bearer(self, text: str, face: Face) -> Caller:
        """Return whose token `text` is; raises Unauthenticated. The text appears in no error, log or record."""
        if self.issued is not None and text.count(".") == 2:
            return await self.issued.caller(text, face)
        try:
            check_form(text)
        except TokenRefused as error:
            raise Unauthenticated(str(error)) from error
        digest = token_digest(text)
        with translated():
            holder = await self.store.access.bearer(digest)
        if holder is None or holder.token is None or not same_digest(holder.token.hash, digest):
            raise Unauthenticated("the API token is not known to this coordinator", fix=MAKE_ANOTHER)
        why = self._useless(holder)
        if why:
            await self._tell(holder, face, why)
            raise Unauthenticated(f"the API token {holder.token.id} of {holder.principal.name} {why}", fix=MAKE_ANOTHER)
        self._used[holder.token.id] = self.clock.now()
        return caller_of(holder, face)

    async def run(self) -> None:
        """Write down, now and then, when tokens were last used, until cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write down when tokens were last used."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self.store.access.used(used)
        except StoreError as error:
            log.warning("token.use_not_stored", tokens=len(used), error=str(error))

    def _useless(self, holder: Holder) -> str:
        """Return why a known token proves nothing any more; empty when it does."""
        token, now = holder.token, self.clock.now()
        if token is None or token.revoked_at is not None:
            return "was revoked"
        if now >= token.expires_at:
            return "has expired"
        return "is of no use: the principal is disabled" if holder.principal.disabled_at is not None else ""

    async def _tell(self, holder: Holder, face: Face, why: str) -> None:
        """Record that somebody used a token that is over; the same one at most once a minute, or it fills the log."""
        assert holder.token is not None
        now, key = self.clock.now(), (holder.token.id, why)
        if now - self._told.get(key, -TOLD_AGAIN) < TOLD_AGAIN:
            return
        self._told[key] = now
        while len(self._told) > MOST_TOLD:
            self._told.pop(next(iter(self._told)))
        entry = AuditEntry(
            now,
            holder.principal.name,
            "authenticate",
            holder.token.id,
            "denied",
            {"principal_kind": holder.principal.kind, "through": face.value, "error": f"the token {why}"},
        )
        try:
            await self.store.audit.append(entry)
        except StoreError as error:
            log.error("audit.not_stored", principal=entry.principal, operation=entry.operation, error=str(error))
