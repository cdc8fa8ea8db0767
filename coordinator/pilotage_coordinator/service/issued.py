"""Callers who show an identity token of an outside issuer: it says who they are, and this coordinator what they may."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.issuer import Issuer, claim_of
from pilotage_coordinator.domain.access.role import BUILT_IN, OWNER
from pilotage_coordinator.runtime.issuer_keys import IssuerUnreachable
from pilotage_coordinator.security.errors import TokenRefused
from pilotage_coordinator.security.identity_tokens import Claims, Header, IssuerKey, read_header, verified
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.service.errors import Unauthenticated, Unavailable, translated
from pilotage_coordinator.service.holder import caller_of, role_of
from pilotage_coordinator.service.ports import Clock
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.protocol import Store

MOST_GROUPS = 1_000
ANOTHER = "get a new one from the identity provider"


class Keys(Protocol):
    """The issuer's public keys: `runtime.issuer_keys.IssuerKeys`."""

    async def for_token(self, header: Header) -> Sequence[IssuerKey]:
        """Return them; raises IssuerUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """Finds the principal behind an identity token. It makes no principal and keeps nothing of the token."""

    issuer: Issuer
    keys: Keys
    store: Store
    clock: Clock

    async def caller(self, text: str, face: Face) -> Caller:
        """Return whose token `text` is; raises Unauthenticated, and Unavailable while the issuer has no word."""
        try:
            header = read_header(text, self.issuer)
            claims = verified(text, header, await self.keys.for_token(header), self.issuer, self.clock.now())
        except TokenRefused as error:
            raise Unauthenticated(str(error), fix=ANOTHER) from error
        except IssuerUnreachable as error:
            raise Unavailable(str(error), fix="use an API token of this coordinator meanwhile") from error
        name, named = self._principal(claims)
        with translated():
            try:
                holder = await self.store.access.holder(name)
            except NotFound as error:
                raise _nobody(name) from error
        if holder.principal.disabled_at is not None:
            raise Unauthenticated(f"{name} is disabled here", fix="ask an owner of this coordinator")
        found = caller_of(holder, face)
        if not named and OWNER in found.roles:
            raise Unauthenticated(
                f"{name} is an owner, and nobody becomes one by what an identity provider calls them",
                fix="name the claim's value under `principals` of [oidc], or use an API token",
            )
        grants = (*found.grants, *await self._of_groups(claims))
        return replace(found, grants=grants, token=claims.id, token_expires_at=claims.expires_at, issued=True)

    def _principal(self, claims: Claims) -> tuple[str, bool]:
        """Return which principal a token stands for, and whether the settings name it."""
        value = claim_of(claims.all, self.issuer.principal_claim)
        if not isinstance(value, str) or not value:
            message = f"the identity token has no `{self.issuer.principal_claim}` that says who somebody is"
            raise Unauthenticated(message, fix="see `principal_claim` of [oidc]")
        if not self.issuer.principals:
            return value, False
        if value not in self.issuer.principals:
            raise Unauthenticated("nobody here is named for this identity token", fix="see `principals` of [oidc]")
        return self.issuer.principals[value], True

    async def _of_groups(self, claims: Claims) -> tuple[Grant, ...]:
        """Return what the token's groups give, for as long as it is shown."""
        if not self.issuer.groups_claim:
            return ()
        value = claim_of(claims.all, self.issuer.groups_claim)
        groups = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        known = [each for each in groups[:MOST_GROUPS] if isinstance(each, str) and each in self.issuer.roles]
        wanted = sorted({self.issuer.roles[each] for each in known})
        if not wanted:
            return ()
        made = {row.name: role_of(row) for row in await self.store.access.roles()}
        return tuple(Grant(role) for name in wanted if (role := BUILT_IN.get(name) or made.get(name)) is not None)


def _nobody(name: str) -> Unauthenticated:
    return Unauthenticated(
        f"{name[:100]!r} is no principal here; an identity token makes none",
        fix=f"an owner adds it: `pilotage principal add {name[:100]}`",
    )
