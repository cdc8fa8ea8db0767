"""Operations on API tokens. A token's text is shown once, in the answer that makes it, and never again."""

from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from pilotage_coordinator.domain.access.scope import Subject
from pilotage_coordinator.security.api_tokens import SECRET_BYTES, new_api_token, token_digest
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Denied
from pilotage_coordinator.service.granting import require_above
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Name, Page, PageRequest, Request, rfc3339, shaped
from pilotage_coordinator.store.records import TokenRecord

DAY: Final = 24 * 3600
USUAL_LIFE: Final = 90 * DAY
"""Seconds."""
LONGEST_LIFE: Final = 400 * DAY
SHORTEST_LIFE: Final = 60

TokenId = Annotated[
    str,
    *shaped(
        r"tok_[0-9a-f]{32}",
        "this is no token's id, which is tok_ and 32 of 0-9 and a-f; `pilotage token list` shows them",
    ),
]


class CreateToken(Request):
    """Ask for an API token of a principal; `life` is in seconds."""

    principal: Name
    name: Annotated[str, StringConstraints(max_length=100)] = ""
    """What it is for, such as the machine or program that will use it."""
    life: Annotated[int, Field(ge=SHORTEST_LIFE, le=LONGEST_LIFE)] = USUAL_LIFE

    def subject(self) -> str:
        return self.principal


class ListTokens(PageRequest):
    """Ask for API tokens; of one principal if given."""

    principal: Name | None = None


class NamedToken(Request):
    """Ask something of one API token, by its id."""

    token: TokenId

    def subject(self) -> str:
        return self.token


class ApiTokenAnswer(Answer):
    """What may be known of an API token."""

    token: str
    """Its id."""
    principal: str
    name: str
    state: str
    """`valid`, `expired`, `revoked`, or `disabled` with its principal."""
    created_at: str
    created_by: str
    expires_at: str
    last_used_at: str
    """Within a minute or so; empty when it never was."""
    revoked_at: str
    revoked_by: str
    replaced_by: str
    """Id of the token that it was rotated into."""


class ApiTokenMade(ApiTokenAnswer):
    """A token that was made, with its text: shown here and never again."""

    text: str


@verb("token.create")
async def create_token(services: Services, caller: Caller, request: CreateToken) -> ApiTokenMade:
    """Make an API token of a principal; it is shown once and stored hashed."""
    await require_above(services, caller, request.principal)
    now = services.clock.now()
    expires_at = now + request.life * 1_000_000
    if caller.token and expires_at > caller.token_expires_at:
        raise Denied(
            "a token that is made with a token ends no later than it",
            fix=f"let it end before {rfc3339(caller.token_expires_at)}, or make it on the coordinator's machine",
        )
    return await _make(services, caller, "token.create", request.principal, request.name, expires_at)


@verb("token.list")
async def list_tokens(services: Services, caller: Caller, request: ListTokens) -> Page[ApiTokenAnswer]:
    """List API tokens, by principal: until when they are good, and when they were last used."""
    disabled = {row.name for row in await services.store.access.principals() if row.disabled_at is not None}
    rows = [
        row
        for row in await services.store.access.tokens(request.principal or "")
        if (row.principal, row.created_at, row.id) > _place(request.cursor)
        and caller.may("token.read", Subject(own=row.principal == caller.principal))
    ]
    shown = rows[: request.limit]
    more = len(rows) > len(shown)
    return Page(
        items=[ApiTokenAnswer(**_answer(services, row, row.principal in disabled)) for row in shown],
        next=f"{shown[-1].principal}/{shown[-1].created_at}/{shown[-1].id}" if more else "",
    )


@verb("token.rotate")
async def rotate_token(services: Services, caller: Caller, request: NamedToken) -> ApiTokenMade:
    """Make a new token in the place of another, which ends in the same moment; it lives as long as that one did.

    With a token that is not the one that is rotated, it ends no later than that token: else a short-lived one could be
    exchanged for a long-lived one.
    """
    old = await services.store.access.token(request.token)
    await require_above(services, caller, old.principal)
    now = services.clock.now()
    if now >= old.expires_at:
        raise Conflict(f"token {old.id} has expired", fix=f"make a new one: pilotage token create {old.principal}")
    expires_at = now + old.expires_at - old.created_at
    if caller.issued or caller.token not in ("", old.id):
        expires_at = min(expires_at, caller.token_expires_at)
    return await _make(services, caller, "token.rotate", old.principal, old.name, expires_at, instead=old.id)


@verb("token.revoke")
async def revoke_token(services: Services, caller: Caller, request: NamedToken) -> ApiTokenAnswer:
    """End an API token at once; streams that it opened are cut within seconds."""
    now = services.clock.now()
    audit = allowed(services, caller, "token.revoke", request.token)
    await services.store.access.revoke_token(request.token, now, caller.principal, audit)
    return ApiTokenAnswer(**_answer(services, await services.store.access.token(request.token), False))


async def _make(
    services: Services, caller: Caller, operation: str, principal: str, name: str, expires_at: int, instead: str = ""
) -> ApiTokenMade:
    text = new_api_token(services.random_bytes(SECRET_BYTES))
    row = TokenRecord(
        id=services.new_id("tok"),
        hash=token_digest(text),
        principal=principal,
        name=name,
        created_at=services.clock.now(),
        created_by=caller.principal,
        expires_at=expires_at,
    )
    audit = allowed(
        services, caller, operation, instead or principal, made=row.id, principal=principal, expires_at=expires_at
    )
    if instead:
        await services.store.access.rotate(instead, row, audit)
    else:
        await services.store.access.add_token(row, audit)
    return ApiTokenMade(**_answer(services, row, False), text=text)


def _answer(services: Services, row: TokenRecord, disabled: bool) -> dict[str, Any]:
    return {
        "token": row.id,
        "principal": row.principal,
        "name": row.name,
        "state": _state(services, row, disabled),
        "created_at": rfc3339(row.created_at),
        "created_by": row.created_by,
        "expires_at": rfc3339(row.expires_at),
        "last_used_at": rfc3339(row.last_used_at or 0),
        "revoked_at": rfc3339(row.revoked_at or 0),
        "revoked_by": row.revoked_by,
        "replaced_by": row.replaced_by,
    }


def _state(services: Services, row: TokenRecord, disabled: bool) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if services.clock.now() >= row.expires_at:
        return "expired"
    return "disabled" if disabled else "valid"


def _place(cursor: str) -> tuple[str, int, str]:
    principal, _, rest = cursor.partition("/")
    created_at, _, id = rest.partition("/")
    return (principal, int(created_at) if created_at.isdecimal() else 0, id)
