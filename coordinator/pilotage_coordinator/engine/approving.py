"""Asking people: what waits for an approval, what an answer sets free, and what a no means.

A request stands at a gate of the state. What is behind it starts in the decision that ends the request, or not at all.
"""

from typing import Final, Literal

from pilotage_proto.approval_id import approval_id

from pilotage_coordinator.domain.approval.gate import Gate, OnTimeout
from pilotage_coordinator.domain.approval.request import (
    Answered,
    Outcome,
    Request,
    TimePassed,
    Withdrawn,
    advance,
)
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.index import ROOT
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope, OpenGate
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.engine import grants
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Draft

_S = StepRunStatus


# --- what waits -------------------------------------------------------------------------------------------------------


def may_begin(decision: Decision, key: RunKey) -> bool:
    """Return whether anything at all may start where a step stands; ask if nobody was asked yet.

    What undoes is never held up.
    """
    index = decision.draft.index
    if ROOT not in index.guards or index.steps[key.path].reverts:
        return True
    return not _waits(decision, ROOT, key)[0] and grants.allowed(decision.draft)


def held(decision: Decision, key: RunKey, hosts: tuple[str, ...]) -> tuple[bool, str]:
    """Return whether a step whose turn has come waits for an approval, and why it may not run, if so.

    Asks if nobody was asked yet. One that will run on none of its hosts asks nobody.
    """
    draft = decision.draft
    if key.path not in draft.index.guards or not any(_will_run(draft, key, host) for host in hosts):
        return False, ""
    return _waits(decision, key.path, key)


def _will_run(draft: Draft, key: RunKey, host: str) -> bool:
    """Return whether a step may run on a host, as far as the plan tells; what is kept from before a retry does not."""
    if RunKey(key.path, host, key.item) in draft.kept:
        return False
    known = draft.plan.resolved.get(key.path, {})
    return not any(found is not None and found.when is False for found in (known.get(host), known.get("")))


def unasked(draft: Draft, path: str) -> bool:
    """Return whether a step must be approved and is not: nobody was asked, as the plan tells that it does not run."""
    return not all(name in draft.grants for name, _ in draft.index.guards.get(path, ()))


def _waits(decision: Decision, path: str, key: RunKey) -> tuple[bool, str]:
    """Return whether an answer is missing, and what was denied; ask what was not asked, and join who waits already."""
    draft = decision.draft
    guards = draft.index.guards[path]
    answers = [draft.grants.get(name) for name, _ in guards]
    denials = [grant.reason for grant in answers if grant is not None and not grant.approved]
    if denials:
        return False, denials[0]
    for (name, gate), grant in zip(guards, answers, strict=True):
        if grant is not None:
            continue
        open_gate = draft.gates.get(name)
        if open_gate is None:
            scope = GateScope.STEP if path else GateScope.EXECUTION
            what = f"before {path}" if path else "before anything starts"
            ask(decision, name, gate, scope, key, gate.description or what)
        elif key not in open_gate.waiting:
            decision.emit(e.ApprovalAwaited(name, *key))
    return None in answers, ""


def ask(decision: Decision, name: str, gate: Gate, scope: GateScope, key: RunKey, prompt: str) -> None:
    """Ask people, at a gate of this name."""
    draft = decision.draft
    request = approval_id(draft.id, name, draft.asked + 1, decision.now)
    requesters = tuple(dict.fromkeys(each for each in (draft.requested_by, draft.reopened_by) if each))
    decision.emit(e.ApprovalAsked(name, request, scope.value, *key, gate.to_json(), prompt, requesters))


# --- what comes back --------------------------------------------------------------------------------------------------


def answered(decision: Decision, input: i.ApprovalAnswered) -> None:
    """A person has answered. Raises AnswerRefused for an answer that does not count."""
    gate, request = _find(decision.draft, input.request)
    vote = input.vote
    after = advance(request, Answered(vote, input.plan_digest, input.standing), decision.now)
    left = {each.by for each in after.votes}
    dropped = tuple(each.by for each in request.votes if each.by not in left)
    decision.emit(
        e.ApprovalVoted(
            gate.name,
            request.id,
            vote.by,
            vote.answer,
            vote.stands_on,
            vote.voice,
            vote.comment,
            vote.key,
            vote.proof,
            vote.alone,
            dropped,
        )
    )
    if after.outcome is not None:
        _end(decision, gate, after)


def withdrawn(decision: Decision, input: i.ApprovalWithdrawn) -> None:
    """What was asked for no longer holds: nobody can agree to it."""
    gate, request = _find(decision.draft, input.request)
    _end(decision, gate, advance(request, Withdrawn(input.reason), decision.now))


def time_passed(decision: Decision, name: str) -> None:
    """A request's time has come: to ask others too, or to end."""
    gate = decision.draft.gates[name]
    assert gate.approval is not None
    after = advance(gate.approval, TimePassed(), decision.now)
    if after.outcome is not None:
        _end(decision, gate, after)
    else:
        decision.emit(e.ApprovalEscalated(name, after.id, after.escalated, after.of))


def _find(draft: Draft, request: str) -> tuple[OpenGate, Request]:
    for gate in draft.gates.values():
        if gate.approval is not None and gate.approval.id == request:
            return gate, gate.approval
    raise Refused(
        f"{request} is not open in {draft.id}: it has its outcome, which `pilotage approval show {request}` tells."
    )


_REVERTS: Final[dict[OnTimeout, Literal["", "yes", "no"]]] = {
    OnTimeout.DENY: "",
    OnTimeout.REVERT: "yes",
    OnTimeout.STOP: "no",
}


def _end(decision: Decision, gate: OpenGate, request: Request) -> None:
    assert request.outcome is not None
    decision.emit(e.ApprovalEnded(gate.name, request.id, request.outcome.value, request.reason))
    key = RunKey(gate.path, gate.host, gate.item)
    if request.outcome is Outcome.APPROVED:
        if gate.scope is GateScope.RUN:
            _run_approved(decision, key, request)
        return
    says = request.gate.on_timeout if request.outcome is Outcome.EXPIRED else OnTimeout.DENY
    denial = f"not approved ({request.id}): {request.reason}"
    match gate.scope:
        case GateScope.RUN:
            number = decision.draft.runs[key].attempts + 1
            decision.emit(e.RunsSettled((key,), _S.FAILED, denial, FailureKind.APPROVAL, attempt=number))
        case GateScope.BATCH:
            decision.emit(e.RolloutEnded(gate.path, gate.item, denial, _REVERTS[says]))
            return
        case GateScope.EXECUTION:
            says = OnTimeout.STOP
    if says is not OnTimeout.DENY:
        cause: e.HaltCause = "rollback" if says is OnTimeout.REVERT else "stop"
        decision.emit(e.FrameHalted(ROOT, "", "", cause, denial))


def _run_approved(decision: Decision, key: RunKey, request: Request) -> None:
    comments = "; ".join(each.comment for each in request.votes if each.comment)
    outputs = {"by": ", ".join(each.by for each in request.votes), "comment": comments, "approval": request.id}
    number = decision.draft.runs[key].attempts + 1
    decision.emit(e.RunsSettled((key,), _S.SUCCEEDED, outputs=outputs, attempt=number))
