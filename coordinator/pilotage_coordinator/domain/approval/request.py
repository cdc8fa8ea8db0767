"""One request for approval, and what each fact makes of it: the first that ends it wins, and nothing follows.

A request is answered by persons. Whether somebody is a person, which roles they hold and whether they signed is proved
by the service; what an answer then amounts to is decided here, and nowhere else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from pilotage_proto.decision import Answer

from pilotage_coordinator.domain.approval.errors import AnswerRefused
from pilotage_coordinator.domain.approval.gate import ROLE, Gate, in_words

ANYBODY: Final = "*"
"""What a vote stands on where the request names nobody."""


class Outcome(StrEnum):
    """How a request ended."""

    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    """Nobody answered in time: a no."""
    CANCELLED = "cancelled"
    """What it was asked for does not happen any more."""


@dataclass(frozen=True, slots=True)
class Voter:
    """A person who wants to answer, and whom they may stand in for."""

    principal: str
    roles: frozenset[str] = frozenset()
    delegators: tuple[tuple[str, frozenset[str]], ...] = ()
    """Persons who have lent them their say, with the roles of each."""
    alone: bool = False
    """There is no other person in the system."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's answer."""

    by: str
    answer: Answer
    stands_on: str = ANYBODY
    """What entitles to it: an entry of the request's `of`, or `*` where that is empty."""
    voice: str = ""
    """In whose place it is given; empty: in their own."""
    comment: str = ""
    key: str = ""
    """The public key that verifies the signature, as `TYPE BASE64`."""
    proof: str = ""
    """The signature."""
    alone: bool = False
    """The only person there is approved what they had asked for themselves: recorded as self-approved."""

    @property
    def whose(self) -> str:
        """Return whose say it is."""
        return self.voice or self.by


@dataclass(frozen=True, slots=True)
class Answered:
    """A person has answered, about this plan. `standing`: those whose earlier votes still count."""

    vote: Vote
    plan_digest: str
    standing: frozenset[str]


@dataclass(frozen=True, slots=True)
class TimePassed:
    """It is later."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was asked for does not happen any more."""

    reason: str


Fact: TypeAlias = Answered | TimePassed | Withdrawn


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of people. Times are UTC microseconds."""

    id: str
    plan_digest: str
    gate: Gate
    asked_at: int
    requesters: tuple[str, ...]
    """Principals who may not approve: who asked for the execution, and who took it up again."""
    of: tuple[str, ...] = ()
    """Who may answer by now: those of the gate, and whom it was escalated to."""
    escalated: int = 0
    """How many of the gate's escalations have happened."""
    votes: tuple[Vote, ...] = ()
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def until(self) -> int:
        """Return when it expires."""
        return self.asked_at + self.gate.timeout

    @property
    def next_change(self) -> int:
        """Return when time alone changes it next: an escalation, or its end."""
        due = self.gate.escalate[self.escalated : self.escalated + 1]
        return min(self.until, *(self.asked_at + each.after for each in due)) if due else self.until


def asked(id: str, plan_digest: str, gate: Gate, at: int, requesters: Iterable[str]) -> Request:
    """Return a new request."""
    ordered = tuple(sorted(gate.escalate, key=lambda each: (each.after, each.to)))
    gate = replace(gate, escalate=ordered) if ordered != gate.escalate else gate
    return Request(id, plan_digest, gate, at, tuple(dict.fromkeys(requesters)), of=gate.of)


def advance(request: Request, fact: Fact, now: int) -> Request:
    """Return what a fact makes of a request at `now`.

    Raises AnswerRefused for an answer that does not count, and for whatever comes after the end.
    """
    if request.outcome is not None:
        raise AnswerRefused(f"{request.id} is {request.outcome} already: a request has one outcome")
    match fact:
        case Answered():
            return _answered(request, fact, now)
        case TimePassed():
            return _later(request, now)
        case Withdrawn():
            return replace(request, outcome=Outcome.CANCELLED, reason=fact.reason)


def _answered(request: Request, fact: Answered, now: int) -> Request:
    vote, gate = fact.vote, request.gate
    if now >= request.until:
        raise AnswerRefused(f"{request.id} has expired: it waited for an answer until its time was over")
    if fact.plan_digest != request.plan_digest:
        raise AnswerRefused(f"the answer is about plan {fact.plan_digest}, {request.id} is about {request.plan_digest}")
    votes = tuple(each for each in request.votes if each.by in fact.standing)
    heard = {name for each in votes for name in (each.by, each.whose)}
    for name in (vote.by, vote.whose):
        if name in heard:
            raise AnswerRefused(f"{name} has answered {request.id} already: everybody has one say")
    if not (request.of == () or vote.stands_on in request.of or vote.alone):
        raise AnswerRefused(f"{vote.whose} is not asked in {request.id}: {in_words(replace(gate, of=request.of))} is")
    if gate.comment and not vote.comment.strip():
        raise AnswerRefused(f"{request.id} asks for a comment with every answer: say why")
    votes = (*votes, vote)
    if vote.answer == "reject":
        said = f"denied by {_name(vote)}" + (f": {vote.comment}" if vote.comment else "")
        return replace(request, votes=votes, outcome=Outcome.DENIED, reason=said)
    own = not {vote.by, vote.whose}.isdisjoint(request.requesters)
    if own and gate.separation and not vote.alone:
        raise AnswerRefused(f"{vote.whose} asked for this and may not approve it: another person must agree")
    if vote.alone or sum(each.answer == "approve" for each in votes) >= gate.required:
        names = ", ".join(_name(each) for each in votes)
        return replace(request, votes=votes, outcome=Outcome.APPROVED, reason=f"approved by {names}")
    return replace(request, votes=votes)


def _later(request: Request, now: int) -> Request:
    if now >= request.until:
        return replace(request, outcome=Outcome.EXPIRED, reason="nobody answered in time")
    of, escalated = request.of, request.escalated
    for each in request.gate.escalate[escalated:]:
        if request.asked_at + each.after > now:
            break
        escalated += 1
        if of and each.to not in of:
            of = (*of, each.to)
    return replace(request, of=of, escalated=escalated) if escalated != request.escalated else request


def vote_of(request: Request, voter: Voter, sponsors: frozenset[str]) -> Vote:
    """Return the vote that a person can cast, still without its answer's words: with what entitles them to it.

    Their own say goes before one that was lent to them. `sponsors`: the persons who answer for the assistants that
    asked. Raises AnswerRefused when nothing entitles them.
    """
    if voter.alone:
        own = voter.principal in request.requesters or not _stands_on(request.of, voter.principal, voter.roles)
        stands_on = _stands_on(request.of, voter.principal, voter.roles) or ANYBODY
        needed = request.gate.required > 1 or own
        return Vote(voter.principal, "approve", stands_on, alone=needed)
    barred = frozenset(request.requesters) if request.gate.separation else frozenset[str]()
    if request.gate.strict:
        barred |= sponsors
    says = ((voter.principal, voter.roles), *voter.delegators)
    entitled = [(who, found) for who, roles in says if (found := _stands_on(request.of, who, roles))]
    if not entitled:
        raise AnswerRefused(
            f"{voter.principal} is not asked in {request.id}: {in_words(replace(request.gate, of=request.of))} is"
        )
    if voter.principal in barred:
        raise AnswerRefused(_barred(request, voter.principal))
    free = [(who, found) for who, found in entitled if who not in barred]
    if not free:
        raise AnswerRefused(_barred(request, entitled[0][0]))
    taken = {each.whose for each in request.votes} | {each.by for each in request.votes}
    who, found = next((each for each in free if each[0] not in taken), free[0])
    return Vote(voter.principal, "approve", found, "" if who == voter.principal else who)


def _barred(request: Request, who: str) -> str:
    if who in request.requesters:
        return f"{who} asked for this and may not approve it: another person must agree to {request.id}"
    return f"{who} answers for the assistant that asked, and {request.id} is strict: another person must agree"


def _stands_on(of: tuple[str, ...], principal: str, roles: frozenset[str]) -> str:
    """Return what entitles a person to answer; empty for nothing."""
    if not of:
        return ANYBODY
    if principal in of:
        return principal
    return next((each for each in of if each.startswith(ROLE) and each.removeprefix(ROLE) in roles), "")


def _name(vote: Vote) -> str:
    text = f"{vote.by} for {vote.voice}" if vote.voice else vote.by
    return f"{text} (self-approved)" if vote.alone else text
