"""Operations on hosts: let them in, look, label, and let them go."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from pilotage_coordinator.domain.access.scope import Subject
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict
from pilotage_coordinator.service.seen import shown
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import described, require
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Page, PageRequest, Reason, Request, rfc3339, shaped
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.records import HostRecord

HostName = Annotated[
    str,
    *shaped(
        r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?",
        "a host's name has letters, digits, dots, dashes and underscores, and begins and ends with a letter or digit",
    ),
]
LabelName = Annotated[
    str,
    *shaped(
        r"[A-Za-z_][A-Za-z0-9_./-]{0,62}",
        "a label's or variable's name has at most 63 letters, digits and _ . / -, and begins with a letter or _",
    ),
]
LabelValue = Annotated[str, StringConstraints(max_length=253)]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=64)]

LARGEST_VARIABLES = 64 * 1024


class MakeToken(Request):
    """Ask for a join token; with `name` it lets in that host only."""

    name: HostName | None = None
    labels: Labels = Field(default_factory=dict)

    def subject(self) -> str:
        return self.name or ""


class TokenAnswer(Answer):
    """The token, shown once, and the command to run on the machine that joins."""

    token: str
    expires_at: str
    command: str


class ListHosts(PageRequest):
    """Ask for hosts, by name."""

    revoked: bool = False


class NamedHost(Request):
    """Ask for one host."""

    host: HostName

    def subject(self) -> str:
        return self.host


class SetHost(NamedHost):
    """Change what people say of a host: null removes a label or a variable; what is not named stays."""

    labels: Annotated[dict[LabelName, LabelValue | None], Field(max_length=64)] = Field(default_factory=dict)
    variables: Annotated[dict[LabelName, JsonValue], Field(max_length=256)] = Field(default_factory=dict)
    environment: LabelValue | None = None
    """The label of that name, which expressions see as `host.environment`; empty removes it."""


class ReleaseHost(NamedHost):
    """Let a host out of quarantine, after a person has looked at it."""

    reason: Annotated[Reason, StringConstraints(min_length=1)]
    """What was found; kept in the audit log."""


class RevokeHost(NamedHost):
    """Shut a host out for good. Its name becomes free; its id is never used again."""

    reason: Reason = ""


class HostSummary(Answer):
    """A host in a list."""

    id: str
    name: str
    state: str
    """`online`, `offline`, `quarantined` or `revoked`."""
    state_reason: str
    labels: dict[str, JsonValue]
    environment: str
    agent_version: str
    joined_at: str
    last_seen_at: str
    last_backup_at: str
    """When the newest good backup of it began; empty without one."""
    last_drill_at: str
    """When the newest drill began that its backups passed; empty without one."""


class HostProof(Answer):
    """A backup or a drill of a host: which step run it was, when it began, and what it told (snapshot_id, rto_s...)."""

    at: str
    execution: str
    step: str
    item: str
    detail: dict[str, JsonValue]


class HostDetail(HostSummary):
    """One host, whole."""

    last_backup: HostProof | None
    last_failed_backup: HostProof | None
    last_drill: HostProof | None
    last_failed_drill: HostProof | None

    variables: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    step_types: list[dict[str, JsonValue]]
    quarantined_plugins: list[dict[str, JsonValue]]


@verb("host.token")
async def make_token(services: Services, caller: Caller, request: MakeToken) -> TokenAnswer:
    """Make a join token: single use, shown once, good for minutes."""
    joining = Subject(hosts=(described(request.name or "", dict(request.labels)),))
    require(caller, "host.token", "host.enrol", joining, f"a host {request.name or 'of any name'}")
    audit = allowed(services, caller, "host.token", request.subject(), labels=dict(request.labels))
    token = await services.hosts.token(request.name or "", request.labels, created_by=caller.principal, audit=audit)
    return TokenAnswer(
        token=token.text, expires_at=rfc3339(token.expires_at), command=f"pilotage-agent join {token.text}"
    )


@verb("host.list")
async def list_hosts(services: Services, caller: Caller, request: ListHosts) -> Page[HostSummary]:
    """List hosts and whether they can be reached."""

    async def seen(row: HostRecord) -> bool:
        return services.subjects.sees_host(caller, "host.read", row)

    rows, cursor = await shown(
        lambda cursor, limit: services.store.hosts.find(cursor, limit, revoked=request.revoked),
        request,
        None if caller.unlimited("host.read") else seen,
    )
    proofs = await services.store.hosts.proofs([row.id for row in rows])
    return Page(items=[_summary(services, row, proofs[row.id]) for row in rows], next=cursor)


@verb("host.show")
async def show_host(services: Services, caller: Caller, request: NamedHost) -> HostDetail:
    """Show one host: facts, labels, what it can run."""
    return await _detail(services, await services.store.hosts.named(request.host))


@verb("host.set")
async def set_host(services: Services, caller: Caller, request: SetHost) -> HostDetail:
    """Set or remove labels and variables of a host."""
    if len(json.dumps(request.variables)) > LARGEST_VARIABLES:
        raise Conflict("the variables are larger than 64 KiB", fix="keep large content in files on the host")
    labels: dict[str, str | None] = dict(request.labels)
    if request.environment is not None:
        labels["environment"] = request.environment or None
    if not caller.unlimited("host.write"):
        await _may_set(services, caller, request.host, labels)
    audit = allowed(
        services, caller, "host.set", request.host, labels=dict(labels), variables=sorted(request.variables)
    )
    row = await services.hosts.label(request.host, labels, request.variables, audit=audit)
    return await _detail(services, row)


@verb("host.release")
async def release_host(services: Services, caller: Caller, request: ReleaseHost) -> HostSummary:
    """Let a host out of quarantine: it may have sessions again, and what was open on it is settled anew."""
    audit = allowed(services, caller, "host.release", request.host, reason=request.reason)
    return await _alone(services, await services.hosts.release(request.host, audit=audit))


@verb("host.revoke")
async def revoke_host(services: Services, caller: Caller, request: RevokeHost) -> HostSummary:
    """Shut a host out for good: its certificates end and its session is cut."""
    audit = allowed(services, caller, "host.revoke", request.host, reason=request.reason)
    return await _alone(services, await services.hosts.revoke(request.host, audit=audit))


async def _may_set(services: Services, caller: Caller, name: str, labels: Mapping[str, str | None]) -> None:
    """Raise Denied unless the host lies within the caller's limits, before the change and after it: a label may move
    it into them, or out."""
    try:
        present = (await services.store.hosts.named(name)).labels
    except NotFound:
        require(caller, "host.set", "host.write", Subject(hosts=(None,)), f"host {name}")
        raise
    after = {key: value for key, value in {**present, **labels}.items() if value is not None}
    for each in (present, after):
        require(caller, "host.set", "host.write", Subject(hosts=(described(name, each),)), f"host {name}")


async def _alone(services: Services, row: HostRecord) -> HostSummary:
    proofs = await services.store.hosts.proofs([row.id])
    return _summary(services, row, proofs[row.id])


def _summary(services: Services, row: HostRecord, proofs: Sequence[Proof]) -> HostSummary:
    state, reason = _state(services, row)
    return HostSummary(
        id=row.id,
        name=row.name,
        state=state,
        state_reason=reason,
        labels=dict(row.labels),
        environment=str(row.labels.get("environment", "")),
        agent_version=row.agent_version,
        joined_at=rfc3339(row.joined_at),
        last_seen_at=rfc3339(row.last_seen or 0),
        last_backup_at=_began(proofs, ProofKind.BACKUP),
        last_drill_at=_began(proofs, ProofKind.DRILL),
    )


async def _detail(services: Services, row: HostRecord) -> HostDetail:
    proofs = (await services.store.hosts.proofs([row.id]))[row.id]
    return HostDetail(
        **_summary(services, row, proofs).model_dump(),
        last_backup=_proof(proofs, ProofKind.BACKUP, passed=True),
        last_failed_backup=_proof(proofs, ProofKind.BACKUP, passed=False),
        last_drill=_proof(proofs, ProofKind.DRILL, passed=True),
        last_failed_drill=_proof(proofs, ProofKind.DRILL, passed=False),
        variables=dict(row.variables),
        facts=dict(row.facts),
        step_types=[dict(each) for each in row.step_types],
        quarantined_plugins=[dict(each) for each in row.quarantined_plugins],
    )


def _began(proofs: Sequence[Proof], kind: ProofKind) -> str:
    return next((rfc3339(proof.at) for proof in proofs if proof.kind is kind and proof.passed), "")


def _proof(proofs: Sequence[Proof], kind: ProofKind, *, passed: bool) -> HostProof | None:
    found = next((proof for proof in proofs if proof.kind is kind and proof.passed is passed), None)
    if found is None:
        return None
    return HostProof(
        at=rfc3339(found.at), execution=found.execution, step=found.path, item=found.item, detail=dict(found.detail)
    )


def _state(services: Services, row: HostRecord) -> tuple[str, str]:
    if row.revoked_at is not None:
        return "revoked", ""
    if row.quarantine:
        return "quarantined", row.quarantine
    return ("online" if services.hosts.online(row.name) else "offline"), ""
