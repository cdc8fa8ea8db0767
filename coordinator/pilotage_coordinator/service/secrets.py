"""Operations on secrets. A value goes in and never comes out."""

import base64
import binascii
from typing import Annotated

from pydantic import SecretStr

from pilotage_coordinator.runtime.secrets import RESERVED
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Invalid
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Page, PageRequest, Request, rfc3339, shaped

SecretName = Annotated[
    str,
    *shaped(
        r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}",
        "a secret's name has at most 200 letters, digits and . _ / -, and begins with a letter or digit",
    ),
]
LARGEST_SECRET = 64 * 1024


class SetSecret(Request):
    """Store or replace a secret; `value_base64` is its bytes in base64."""

    name: SecretName
    value_base64: SecretStr

    def subject(self) -> str:
        return self.name


class RemoveSecret(Request):
    """Remove a secret."""

    name: SecretName

    def subject(self) -> str:
        return self.name


class ListSecrets(PageRequest):
    """Ask for the names of secrets."""


class SecretAnswer(Answer):
    """What may be known of a secret."""

    name: str
    reference: str
    updated_at: str
    updated_by: str


class SecretStored(Answer):
    """A secret was stored; `new` is false when it replaced one."""

    name: str
    reference: str
    new: bool


class SecretRemoved(Answer):
    """A secret was removed."""

    name: str


@verb("secret.set")
async def set_secret(services: Services, caller: Caller, request: SetSecret) -> SecretStored:
    """Store or replace a secret, encrypted."""
    try:
        value = base64.b64decode(request.value_base64.get_secret_value(), validate=True)
    except binascii.Error as error:
        raise Invalid("`value_base64` is no base64", fix="encode the secret's bytes in base64") from error
    if not 0 < len(value) <= LARGEST_SECRET:
        raise Invalid(f"a secret has 1 to {LARGEST_SECRET} bytes, this one {len(value)}")
    audit = allowed(services, caller, "secret.set", request.name)
    new = await services.secrets.set(request.name, value, updated_by=caller.principal, audit=audit)
    return SecretStored(name=request.name, reference=f"secret://{request.name}", new=new)


@verb("secret.list")
async def list_secrets(services: Services, caller: Caller, request: ListSecrets) -> Page[SecretAnswer]:
    """List the names of secrets; values are never shown."""
    rows = [
        row
        for row in await services.store.secrets.list()
        if row.name > request.cursor and not row.name.startswith(RESERVED)
    ]
    shown = rows[: request.limit]
    items = [
        SecretAnswer(
            name=row.name,
            reference=f"secret://{row.name}",
            updated_at=rfc3339(row.updated_at),
            updated_by=row.updated_by,
        )
        for row in shown
    ]
    return Page(items=items, next=shown[-1].name if len(rows) > len(shown) else "")


@verb("secret.rm")
async def remove_secret(services: Services, caller: Caller, request: RemoveSecret) -> SecretRemoved:
    """Remove a secret; its bytes are overwritten."""
    if request.name.startswith(RESERVED):
        raise Conflict(
            f"secret {request.name} belongs to an execution", fix="it goes when the execution's history goes"
        )
    await services.store.secrets.remove(request.name, allowed(services, caller, "secret.rm", request.name))
    return SecretRemoved(name=request.name)
