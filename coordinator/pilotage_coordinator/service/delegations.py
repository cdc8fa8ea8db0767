"""Operations by which a person lends their say on approvals to another, until a date.

Whoever has a say lent to them decides with their own key. So lending takes a signature too: no token is enough to
decide.
"""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pilotage_proto.delegation import NAMESPACE, Lending
from pilotage_proto.sshsig import LARGEST_SIGNATURE, read_key
from pydantic import AwareDatetime, BeforeValidator, StringConstraints

from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.scope import WHOLE
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Conflict, Denied, Invalid
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.signatures import person, proved
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import (
    Answer,
    Name,
    Page,
    PageRequest,
    Reason,
    Request,
    microseconds,
    rfc3339,
    shaped,
)
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import DelegationRecord

LONGEST: Final = timedelta(days=366) // timedelta(microseconds=1)
"""Microseconds: a delegation that nobody remembers must end by itself."""


def _moment(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A time as RFC 3339: JSON has no type for it."""
DelegationId = Annotated[
    str,
    *shaped(
        r"dlg_[0-9a-f]{32}",
        "this is no delegation's id, which is dlg_ and 32 of 0-9 and a-f; `pilotage approval delegations` shows them",
    ),
]


class Delegate(Request):
    """Lend one's own say on approvals to another person, from `since` (now, where that is over) until `until`.

    `proof` is the signature of the canonical JSON of `{"delegate", "delegator", "from", "until"}`, times in UTC
    microseconds, by `ssh-keygen -Y sign -n delegation@pilotage`, with a key that is registered for the caller.
    """

    to: Name
    until: Moment
    since: Moment
    proof: Annotated[str, StringConstraints(max_length=LARGEST_SIGNATURE)] = ""
    reason: Reason = ""

    def subject(self) -> str:
        return self.to


class ListDelegations(PageRequest):
    """Ask for the delegations that have not ended."""


class EndDelegation(Request):
    """Take one's say back before the time is over."""

    delegation: DelegationId

    def subject(self) -> str:
        return self.delegation


class DelegationAnswer(Answer):
    """A say that is lent: `delegate` may answer what `delegator` is asked, but never what either of them asked for."""

    id: str
    delegator: str
    delegate: str
    begins_at: str
    ends_at: str
    reason: str


@verb("approval.delegate")
async def delegate(services: Services, caller: Caller, request: Delegate) -> DelegationAnswer:
    """Lend your say on approvals to another person until a date."""
    now = services.clock.now()
    if caller.kind is not PrincipalKind.PERSON:
        raise Denied("only persons have a say to lend")
    to = await services.store.access.principal(request.to)
    if to.kind != PrincipalKind.PERSON.value or to.disabled_at is not None:
        raise Invalid(
            f"{to.name} is no person who may act", fix="lend it to an enabled person: pilotage principal list"
        )
    if to.name == caller.principal:
        raise Invalid("one's own say need not be lent to oneself")
    begins_at = max(now, microseconds(request.since))
    ends_at = microseconds(request.until)
    if not begins_at < ends_at <= now + LONGEST:
        raise Invalid("a delegation ends after it begins, within a year from now", fix="give another date with --until")
    lending = Lending(caller.principal, to.name, request.since, request.until)
    key = await _proved(services, lending, request.proof)
    row = DelegationRecord(
        lending.id, caller.principal, to.name, begins_at, ends_at, request.reason, now, caller.principal
    )
    audit = allowed(
        services, caller, "approval.delegate", row.id, to=to.name, since=rfc3339(begins_at), until=rfc3339(ends_at),
        key=read_key(key).fingerprint, reason=request.reason,
    )  # fmt: skip
    await services.store.approvals.delegate(row, audit)
    return _answer(row)


@verb("approval.delegations")
async def list_delegations(services: Services, caller: Caller, request: ListDelegations) -> Page[DelegationAnswer]:
    """List who has lent their say on approvals to whom, and until when."""
    rows = await services.store.approvals.delegations(services.clock.now())
    return Page(items=[_answer(each) for each in rows])


@verb("approval.undelegate")
async def undelegate(services: Services, caller: Caller, request: EndDelegation) -> DelegationAnswer:
    """Take your say on approvals back before the time is over."""
    row = await services.store.approvals.delegation(request.delegation)
    if row.delegator != caller.principal and not caller.may("principal.write", WHOLE):
        raise Conflict(f"{row.id} is not yours to end", fix=f"{row.delegator} ends it, or an owner")
    now = services.clock.now()
    audit = allowed(services, caller, "approval.undelegate", row.id, to=row.delegate)
    await services.store.approvals.end_delegation(row.id, now, caller.principal, audit)
    return _answer(await services.store.approvals.delegation(row.id))


async def _proved(services: Services, lending: Lending, proof: str) -> str:
    """Return the key that signed it; raises Denied, and Conflict for what was lent with this signature before."""
    key = proved(
        await person(services, lending.delegator),
        proof,
        lending.signed_bytes(),
        NAMESPACE,
        about=f"lending the say of {lending.delegator}",
        how=f"`pilotage approval delegate {lending.delegate} --until DATE` signs it with your SSH key",
    )
    try:
        await services.store.approvals.delegation(lending.id)
    except store_errors.NotFound:
        return key
    raise Conflict(
        f"{lending.id} was lent before with this signature, which is good for once",
        fix=f"sign anew: pilotage approval delegate {lending.delegate} --until DATE",
    )


def _answer(row: DelegationRecord) -> DelegationAnswer:
    return DelegationAnswer(
        id=row.id,
        delegator=row.delegator,
        delegate=row.delegate,
        begins_at=rfc3339(row.begins_at),
        ends_at=rfc3339(row.ends_at),
        reason=row.reason,
    )
