"""Operations on the audit log. Nothing here can change it."""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints

from pilotage_coordinator.audit.entry import AuditHead, AuditRecord
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Invalid
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import verb
from pilotage_coordinator.service.wire import Answer, Digest, Page, PageRequest, Request, microseconds, rfc3339
from pilotage_coordinator.store.records import AuditFilter

Word = Annotated[str, StringConstraints(max_length=500)]
Sequence = Annotated[int, Field(ge=0, le=2**53 - 1)]


class SeenHead(Answer):
    """A place of the log that somebody saw earlier."""

    sequence: Sequence
    hash: Digest


class VerifyAudit(Request):
    """Ask to check the whole log; `known_sequence` and `known_hash` name a head that was seen earlier."""

    known_sequence: Sequence = 0
    known_hash: Digest | None = None


class SearchAudit(PageRequest):
    """Ask for entries, newest first; empty fields match all, `operation: run` all that begin with `run.`."""

    principal: Word = ""
    operation: Word = ""
    about: Word = ""
    outcome: Word = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class ExportAudit(Request):
    """Ask for lines of the log in order: entries after `after`, up to `until` (0: all there are)."""

    after: Sequence = 0
    until: Sequence = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


class WitnessAnswer(Answer):
    """The newest head that a host has seen."""

    host: str
    sequence: int


class AuditVerified(Answer):
    """What checking found: `sound`, or the first thing that does not hold in `fault`."""

    sound: bool
    fault: str
    checked: int
    head: SeenHead
    key_fingerprint: str
    witnesses: list[WitnessAnswer]


class AuditEntryAnswer(Answer):
    """One entry of the log."""

    sequence: int
    at: str
    principal: str
    operation: str
    subject: str
    outcome: str
    detail: dict[str, Any]
    hash: str


class AuditLines(Answer):
    """Lines of an export; `next` is what to ask for as `after`, 0 at the end. `head` is the line that ends an export
    and names the entry up to which to go; empty on later pages."""

    lines: list[str]
    next: int
    head: str
    head_sequence: int


@verb("audit.verify")
async def verify_audit(services: Services, caller: Caller, request: VerifyAudit) -> AuditVerified:
    """Check the audit log: every link of its chain, its signature, and the heads that hosts have seen."""
    if (request.known_hash is None) != (request.known_sequence == 0):
        raise Invalid("a head that was seen has both a sequence and a hash", fix="give both, or neither")
    known = [AuditHead(request.known_sequence, request.known_hash)] if request.known_hash is not None else []
    verdict = await services.audit.verify(known)
    return AuditVerified(
        sound=not verdict.fault,
        fault=verdict.fault,
        checked=verdict.checked,
        head=SeenHead(sequence=verdict.head.sequence, hash=verdict.head.hash),
        key_fingerprint=services.audit.fingerprint,
        witnesses=[
            WitnessAnswer(host=host, sequence=seen.sequence)
            for host, seen in sorted(services.audit.witnessed().items())
        ],
    )


@verb("audit.search")
async def search_audit(services: Services, caller: Caller, request: SearchAudit) -> Page[AuditEntryAnswer]:
    """Search the audit log: who did what to which thing, through what, and what was denied."""
    wanted = AuditFilter(
        principal=request.principal,
        operation=request.operation,
        subject=request.about,
        outcome=request.outcome,
        since=microseconds(request.since) if request.since else 0,
        until=microseconds(request.until) if request.until else 0,
    )
    page = await services.store.audit.search(wanted, request.cursor, request.limit)
    return Page(items=[_answer(record) for record in page.rows], next=page.cursor)


@verb("audit.export")
async def export_audit(services: Services, caller: Caller, request: ExportAudit) -> AuditLines:
    """Export the audit log in lines that anybody can check with the documented format alone."""
    head, line, until = "", 0, request.until
    if not until:
        signed, head = await services.audit.head()
        until = line = signed.sequence
    if request.after >= until:
        return AuditLines(lines=[], next=0, head=head, head_sequence=line)
    found = await services.audit.lines(request.after, request.limit, until)
    return AuditLines(lines=list(found.lines), next=found.next, head=head, head_sequence=line)


def _answer(record: AuditRecord) -> AuditEntryAnswer:
    entry = record.entry
    return AuditEntryAnswer(
        sequence=record.sequence,
        at=rfc3339(entry.at),
        principal=entry.principal,
        operation=entry.operation,
        subject=entry.subject,
        outcome=entry.outcome,
        detail=dict(entry.detail),
        hash=record.hash,
    )
