"""Who may answer a request for approval: persons, the roles they hold for its plan, and who lent them their say."""

from collections.abc import Iterable

from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.permission import DECIDE
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.scope import Subject
from pilotage_coordinator.domain.approval.errors import AnswerRefused
from pilotage_coordinator.domain.approval.gate import ROLE
from pilotage_coordinator.domain.approval.request import Vote, Voter, vote_of
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.service.holder import caller_of
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.store import errors as store_errors
from pilotage_coordinator.store.records import ApprovalRecord


async def voter(services: Services, person: str, row: ApprovalRecord) -> Voter:
    """Return a person as a voter in a request. Only who may decide on its plan themselves can lend their say to it."""
    now = services.clock.now()
    subject = await _subject(services, row)
    delegators = []
    for lent in await services.store.approvals.delegations(now, person):
        if lent.begins_at > now:
            continue
        roles = await _roles(services, lent.delegator, subject)
        if roles is not None:
            delegators.append((lent.delegator, roles))
    return Voter(
        person,
        await _roles(services, person, subject) or frozenset(),
        tuple(delegators),
        alone=await _is_alone(services, person),
    )


async def sponsors(services: Services, requesters: Iterable[str]) -> frozenset[str]:
    """Return the persons on whose behalf those act who asked."""
    found = set()
    for name in requesters:
        try:
            found.add((await services.store.access.principal(name)).sponsor)
        except store_errors.NotFound:
            continue
    return frozenset(found - {""})


async def standing(services: Services, votes: Iterable[Vote], row: ApprovalRecord) -> frozenset[str]:
    """Return those of the voters whose votes still count: who is disabled, or not asked any more, has none."""
    subject = await _subject(services, row)
    found = set()
    for vote in votes:
        roles = await _roles(services, vote.whose, subject)
        own = roles if vote.whose == vote.by else await _roles(services, vote.by, subject)
        if roles is None or own is None:
            continue
        role = vote.stands_on.removeprefix(ROLE) if vote.stands_on.startswith(ROLE) else ""
        if not role or role in roles:
            found.add(vote.by)
    return frozenset(found)


async def why_not(services: Services, caller: Caller, row: ApprovalRecord) -> str:
    """Return why the caller cannot answer an open request; empty where they can."""
    if caller.kind is not PrincipalKind.PERSON:
        return f"only persons decide, and {caller.principal} is none"
    state = await services.runs.state(row.execution)
    asked = next((gate.approval for gate in state.gates.values() if gate.approval and gate.approval.id == row.id), None)
    if asked is None:
        return "it is not open any more"
    if not caller.may(DECIDE, await _subject(services, row)):
        return f"{caller.principal} may not decide on this plan: it takes the permission {DECIDE}"
    if any(caller.principal in (each.by, each.whose) for each in asked.votes):
        return f"{caller.principal} has answered already"
    try:
        vote_of(asked, await voter(services, caller.principal, row), await sponsors(services, row.requesters))
    except AnswerRefused as error:
        return str(error)
    return ""


async def _subject(services: Services, row: ApprovalRecord) -> Subject:
    return await services.subjects.of_plan(row.plan_digest)


async def _roles(services: Services, person: str, subject: Subject) -> frozenset[str] | None:
    """Return the roles that a person holds for all that a plan touches; None for who may not decide on it at all."""
    try:
        holder = await services.store.access.holder(person)
    except store_errors.NotFound:
        return None
    if holder.principal.disabled_at is not None or holder.principal.kind != PrincipalKind.PERSON.value:
        return None
    found = caller_of(holder, Face.SOCKET)
    if not found.may(DECIDE, subject):
        return None
    by_role: dict[str, list[Grant]] = {}
    for grant in found.grants:
        by_role.setdefault(grant.role.name, []).append(grant)
    return frozenset(role for role, grants in by_role.items() if _covered(grants, subject))


def _covered(grants: Iterable[Grant], subject: Subject) -> bool:
    scopes = [grant.scope for grant in grants if grant.scope.covers_blueprint(subject)]
    return all(any(scope.covers_host(host) for scope in scopes) for host in subject.hosts or (None,))


async def _is_alone(services: Services, person: str) -> bool:
    persons = {
        each.name
        for each in await services.store.access.principals()
        if each.kind == PrincipalKind.PERSON.value and each.disabled_at is None
    }
    return persons == {person}
