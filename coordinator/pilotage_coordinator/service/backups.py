"""Operations on backups of the coordinator, and on what a restore leaves to be signed."""

import base64
from typing import Annotated

from pilotage_proto.recovery import NAMESPACE, RecoveryRefused, read_recovery
from pydantic import Field, StringConstraints

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Invalid, NotFound
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, entry, verb
from pilotage_coordinator.service.wire import Answer, Request, rfc3339

Recipient = Annotated[str, StringConstraints(max_length=200)]
LONGEST_SIGNATURE = 16 * 1024


class CreateBackup(Request):
    """Ask for a backup. `recipients`: age public keys that can open it; without one, `plain` must be said."""

    recipients: list[Recipient] = Field(default_factory=list, max_length=16)
    plain: bool = False
    logs: bool = False

    def subject(self) -> str:
        return "coordinator"


class ShowRecovery(Request):
    """Ask what the newest restore has lost, as an owner signs it."""


class SignRecovery(Request):
    """Hand in an owner's signature of the record of the newest restore."""

    statement: Annotated[str, StringConstraints(max_length=8192)]
    signature: Annotated[str, StringConstraints(max_length=LONGEST_SIGNATURE)]

    def subject(self) -> str:
        return "coordinator"


class BackupCreated(Answer):
    """A backup, in the coordinator's state folder. Copy it to another machine."""

    file: str
    size: int
    encrypted: bool
    logs: bool
    audit_sequence: int
    audit_hash: str
    store_key: str
    audit_key: str


class RecoveryAnswer(Answer):
    """What a restore has lost. `statement` is the text to sign (`namespace`), in base64; `lost_up_to` 0: no host has
    seen more than the backup holds."""

    statement: str
    namespace: str
    resumes_after: int
    lost_up_to: int
    recorded_at: str
    signed: bool


@verb("backup.create")
async def create_backup(services: Services, caller: Caller, request: CreateBackup) -> BackupCreated:
    """Back up the coordinator while it runs: database, keys and, if asked for, the logs of steps."""
    if bool(request.recipients) == request.plain:
        raise Invalid(
            "a backup holds every key of this coordinator: it is either encrypted or asked for in plain",
            fix="give recipients (age1…, from `age-keygen`), or say `plain` and guard the file like the keys",
        )
    made = await services.backups.create(request.recipients, logs=request.logs)
    detail: dict[str, Json] = {"file": made.file.name, "encrypted": bool(request.recipients), "logs": request.logs}
    await services.store.audit.append(*allowed(services, caller, "backup.create", request.subject(), **detail))
    manifest = made.manifest
    return BackupCreated(
        file=str(made.file),
        size=made.size,
        encrypted=bool(request.recipients),
        logs=manifest.logs,
        audit_sequence=manifest.audit_sequence,
        audit_hash=manifest.audit_hash,
        store_key=manifest.store_key,
        audit_key=manifest.audit_key,
    )


@verb("recovery.show")
async def show_recovery(services: Services, caller: Caller, request: ShowRecovery) -> RecoveryAnswer:
    """Show what the newest restore of this coordinator has lost, for an owner to sign."""
    records = await services.store.audit.recoveries()
    if not records:
        raise NotFound("this coordinator was never restored from a backup", fix="there is nothing to sign")
    newest = records[-1]
    recovery = read_recovery(newest.statement)
    return RecoveryAnswer(
        statement=base64.b64encode(newest.statement).decode(),
        namespace=NAMESPACE,
        resumes_after=recovery.resumes,
        lost_up_to=recovery.lost if recovery.lost > recovery.resumes else 0,
        recorded_at=rfc3339(recovery.at),
        signed=bool(newest.signature),
    )


@verb("recovery.sign")
async def sign_recovery(services: Services, caller: Caller, request: SignRecovery) -> RecoveryAnswer:
    """Hand in an owner's signature of what a restore has lost; hosts that know the owner's key then go back.

    The signature is checked by those hosts, each with the keys that it knows, and not here.
    """
    try:
        statement = base64.b64decode(request.statement, validate=True)
        read_recovery(statement)
    except (ValueError, RecoveryRefused) as error:
        raise Invalid(f"the statement is none: {error}", fix="sign what `pilotage backup accept` shows") from error
    if not request.signature.lstrip().startswith("-----BEGIN SSH SIGNATURE-----"):
        raise Invalid(
            "the signature is not one of OpenSSH", fix=f"make it with: ssh-keygen -Y sign -n {NAMESPACE} -f KEY FILE"
        )
    if statement not in {each.statement for each in await services.store.audit.recoveries()}:
        raise Conflict("this record is not one of this coordinator", fix="ask for the newest one and sign that")
    detail = entry(services, caller, "recovery.sign", request.subject(), "allowed", {}).detail
    await services.recoveries.sign(statement, request.signature, caller.principal, detail)
    return await show_recovery.function(services, caller, ShowRecovery())
