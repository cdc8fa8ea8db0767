"""From what happened to requests for approval to their rows: pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.approval.request import Outcome, Vote
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.engine.grants import rests_on
from pilotage_coordinator.store.records import ApprovalRecord, ApprovalUpdate, Counted, DecisionRecord


def asked(state: ExecutionState, events: Sequence[e.Event], at: int) -> tuple[ApprovalRecord, ...]:
    """Return the rows of the requests that began."""
    return tuple(_asked(state, each, at) for each in events if isinstance(each, e.ApprovalAsked))


def _asked(state: ExecutionState, event: e.ApprovalAsked, at: int) -> ApprovalRecord:
    gate = Gate.from_json(event.gate)
    return ApprovalRecord(
        id=event.request,
        execution=state.id,
        plan_digest=state.plan.digest,
        gate=event.name,
        scope=event.scope,
        path=event.path,
        host=event.host,
        item=event.item,
        content=event.gate,
        prompt=event.prompt,
        requesters=event.requesters,
        asks=gate.of,
        asked_at=at,
        expires_at=at + gate.timeout,
    )


@dataclass
class _Course:
    """What happened to one request."""

    votes: dict[str, Counted] = field(default_factory=dict)
    """Who has approved so far, to what the vote of each stands on."""
    asks: tuple[str, ...] | None = None
    decisions: list[DecisionRecord] = field(default_factory=list)
    dropped: tuple[str, ...] = ()
    outcome: str = ""
    reason: str = ""


def happened(
    before: ExecutionState, after: ExecutionState, events: Sequence[e.Event], at: int
) -> Iterator[ApprovalUpdate]:
    """Yield what happened to requests. One whose gate is gone without an answer was asked in vain: cancelled."""
    courses = {
        gate.approval.id: _Course({each.by: _counted(each) for each in gate.approval.votes if each.answer == "approve"})
        for gate in before.gates.values()
        if gate.approval is not None
    }
    for event in events:
        match event:
            case e.ApprovalAsked():
                courses[event.request] = _Course()
            case e.ApprovalEscalated():
                courses[event.request].asks = event.of
            case e.ApprovalVoted():
                _voted(courses[event.request], event, at)
            case e.ApprovalEnded():
                courses[event.request].outcome, courses[event.request].reason = event.outcome, event.reason
    if not courses:
        return
    gates = () if after.terminal else after.gates.values()
    still = {gate.approval.id for gate in gates if gate.approval is not None}
    for id, course in courses.items():
        if not course.outcome and id not in still:
            course.outcome = Outcome.CANCELLED.value
            course.reason = after.reason or "what it was asked for does not happen any more"
        if course.outcome or course.decisions or course.asks is not None:
            yield ApprovalUpdate(
                id,
                course.asks,
                tuple(course.decisions),
                course.dropped,
                tuple(course.votes.values()) if course.outcome == Outcome.APPROVED.value else (),
                course.outcome,
                course.reason,
                at,
            )


def _voted(course: _Course, event: e.ApprovalVoted, at: int) -> None:
    course.dropped += event.dropped
    for person in event.dropped:
        course.votes.pop(person, None)
    if event.answer == "approve":
        course.votes[event.by] = _counted(event)
    course.decisions.append(
        DecisionRecord(
            event.by, at, event.answer, event.stands_on, event.voice, event.comment, event.key, event.proof, event.alone
        )
    )


def _counted(vote: Vote | e.ApprovalVoted) -> Counted:
    return Counted(vote.by, vote.key, vote.stands_on, vote.voice)


def rested_on(state: ExecutionState, events: Sequence[e.Event]) -> tuple[str, ...]:
    """Return the approvals that the attempts planned here rest on. Raises RuntimeError where one is missing."""
    if not state.index.guards:
        return ()
    paths = {event.path: None for event in events if isinstance(event, e.AttemptPlanned) and event.kind == "run"}
    return tuple(dict.fromkeys(id for path in paths for id in rests_on(state, path)))
