"""Operations on secrets and on who may use them. A value goes in and never comes out."""

import asyncio
import base64
import binascii
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from pilotage_coordinator.domain.access.errors import AccessRefused
from pilotage_coordinator.domain.secret_grant import MOST_GRANTS, SecretGrant, grant_of
from pilotage_coordinator.runtime.secrets import RESERVED
from pilotage_coordinator.security.age import encrypt, read_recipient
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Invalid
from pilotage_coordinator.service.granting import require_local
from pilotage_coordinator.service.limits import Alternatives, Limits
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
LARGEST_EXPORT = 8 * 1024 * 1024


class GrantShape(Limits):
    """Who may be given a secret's value. What is left out limits nothing; `{}` gives it to every step.

    The blueprint that counts is the one that is run, whichever it calls.
    """

    step_types: Alternatives = Field(default_factory=list)
    """Names, or patterns such as `backup.*`."""

    def grant(self) -> SecretGrant:
        """Return it as the rules know it; raises Invalid."""
        try:
            return grant_of(self.model_dump())
        except AccessRefused as error:
            raise Invalid(str(error)) from error


Grants = Annotated[list[GrantShape], Field(max_length=MOST_GRANTS)]


class SetSecret(Request):
    """Store or replace a secret; `value_base64` is its bytes in base64.

    Without `grants` a new secret is given to nobody, and one that is replaced keeps those that it has.
    """

    name: SecretName
    value_base64: SecretStr
    grants: Grants = Field(default_factory=list)

    def subject(self) -> str:
        return self.name


class GrantSecret(Request):
    """Say who may be given a secret's value: all of its grants. `was` is what they were when you looked."""

    name: SecretName
    grants: Grants
    was: Grants

    def subject(self) -> str:
        return self.name


class RemoveSecret(Request):
    """Remove a secret."""

    name: SecretName

    def subject(self) -> str:
        return self.name


class ExportSecrets(Request):
    """Ask for every secret, encrypted to age keys: for the day on which the coordinator and its backups are gone."""

    recipients: list[Annotated[str, StringConstraints(max_length=200)]] = Field(min_length=1, max_length=16)

    def subject(self) -> str:
        return "secrets"


class ListSecrets(PageRequest):
    """Ask for the names of secrets."""


class SecretGranted(Answer):
    """Who may be given a secret's value now."""

    name: str
    grants: list[GrantShape]
    granted_to: list[str]
    """The same in words."""


class SecretAnswer(SecretGranted):
    """What may be known of a secret; each value that is set is a new `version`."""

    reference: str
    version: int
    updated_at: str
    updated_by: str


class SecretStored(SecretGranted):
    """A secret was stored; `new` is false when it replaced one."""

    reference: str
    new: bool


class SecretsExported(Answer):
    """The secrets in one file of age, in base64. Inside is JSON: `secrets` has each value, in base64, by name."""

    count: int
    encrypted_base64: str


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
    grants = tuple(each.grant() for each in request.grants)
    told = [each.to_json() for each in grants]
    audit = allowed(services, caller, "secret.set", request.name, grants=told)
    new = await services.secrets.set(request.name, value, updated_by=caller.principal, grants=grants, audit=audit)
    held = await services.secrets.grants(request.name) or ()
    return SecretStored(
        name=request.name,
        reference=f"secret://{request.name}",
        new=new,
        grants=_shapes(held),
        granted_to=_words(held),
    )


@verb("secret.grant")
async def grant_secret(services: Services, caller: Caller, request: GrantSecret) -> SecretGranted:
    """Say who may be given a secret's value."""
    if request.name.startswith(RESERVED):
        raise Conflict(f"secret {request.name} belongs to an execution", fix="nobody else is ever given it")
    grants, was = (tuple(each.grant() for each in listed) for listed in (request.grants, request.was))
    before, after = ([each.to_json() for each in listed] for listed in (was, grants))
    audit = allowed(services, caller, "secret.grant", request.name, before=before, after=after)
    await services.store.secrets.grant(request.name, grants, was, audit)
    return SecretGranted(name=request.name, grants=_shapes(grants), granted_to=_words(grants))


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
            version=row.version,
            updated_at=rfc3339(row.updated_at),
            updated_by=row.updated_by,
            grants=_shapes(row.grants),
            granted_to=_words(row.grants),
        )
        for row in shown
    ]
    return Page(items=items, next=shown[-1].name if len(rows) > len(shown) else "")


@verb("secret.export")
async def export_secrets(services: Services, caller: Caller, request: ExportSecrets) -> SecretsExported:
    """Export every secret, encrypted to age keys; no value leaves the coordinator in any other form.

    Whoever asks chooses the keys. So no token is enough: a stolen one would hand every secret to a thief.
    """
    require_local(caller, "secrets are exported")
    keys = [read_recipient(each) for each in request.recipients]
    values = await services.secrets.everything()
    size = sum(len(each) for each in values.values())
    if size > LARGEST_EXPORT:
        raise Conflict(
            f"the secrets have {size} bytes together, at most {LARGEST_EXPORT} are exported at once",
            fix="`pilotage backup create -r` takes all of them, with the key that opens them",
        )
    audit = allowed(services, caller, "secret.export", request.subject(), count=len(values))
    await services.store.audit.append(*audit)
    sealed = await asyncio.to_thread(_sealed, values, keys)
    return SecretsExported(count=len(values), encrypted_base64=base64.b64encode(sealed).decode())


def _sealed(values: Mapping[str, bytes], keys: Sequence[bytes]) -> bytes:
    named = {name: base64.b64encode(value).decode() for name, value in values.items()}
    out = io.BytesIO()
    encrypt(io.BytesIO(json.dumps({"pilotage": "secrets", "secrets": named}).encode()), out, keys)
    return out.getvalue()


@verb("secret.rm")
async def remove_secret(services: Services, caller: Caller, request: RemoveSecret) -> SecretRemoved:
    """Remove a secret; its bytes are overwritten."""
    if request.name.startswith(RESERVED):
        raise Conflict(
            f"secret {request.name} belongs to an execution", fix="it goes when the execution's history goes"
        )
    await services.store.secrets.remove(
        request.name, services.clock.now(), allowed(services, caller, "secret.rm", request.name)
    )
    return SecretRemoved(name=request.name)


def _shapes(grants: Iterable[SecretGrant]) -> list[GrantShape]:
    return [GrantShape.model_validate(each.to_json()) for each in grants]


def _words(grants: Iterable[SecretGrant]) -> list[str]:
    return [str(each) for each in grants]
