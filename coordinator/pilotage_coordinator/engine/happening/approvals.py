"""What asking people, and their answers, make of the state."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.approval.request import Vote, asked
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope, OpenGate
from pilotage_coordinator.domain.execution.states import PendingReason
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.engine import grants
from pilotage_coordinator.engine.draft import Draft, Work
from pilotage_coordinator.engine.happening.runs import batch_answered
from pilotage_coordinator.engine.nesting import fresh_run


def _asked(draft: Draft, event: e.ApprovalAsked, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    scope = GateScope(event.scope)
    draft.asked += 1
    request = asked(event.request, draft.plan.digest, Gate.from_json(event.gate), at, event.requesters)
    gate = draft.gates.get(event.name) or OpenGate(event.name, *key, opened_at=at, scope=scope)
    if scope in (GateScope.STEP, GateScope.EXECUTION):
        gate = replace(gate, waiting=gate.waiting.set(key, None))
        _show(draft, key)
    _put(draft, replace(gate, prompt=event.prompt or gate.prompt, approval=request))


def _awaited(draft: Draft, event: e.ApprovalAwaited, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    gate = draft.gates[event.name]
    draft.gates = draft.gates.set(event.name, replace(gate, waiting=gate.waiting.set(key, None)))
    _show(draft, key)


def _show(draft: Draft, key: RunKey) -> None:
    """Let a run say what it waits for. What goes over hosts or items has no run of its own before it begins."""
    info = draft.index.steps[key.path]
    if not info.fans and not info.loops:
        draft.put(fresh_run(draft, key)._replace(reason=PendingReason.APPROVAL))


def _put(draft: Draft, gate: OpenGate) -> None:
    assert gate.approval is not None
    draft.gates = draft.gates.set(gate.name, gate)
    draft.set_timer(TimerKind.APPROVAL, RunKey(gate.name), gate.approval.next_change)


def _escalated(draft: Draft, event: e.ApprovalEscalated, at: int) -> None:
    gate = draft.gates[event.name]
    assert gate.approval is not None
    request = replace(gate.approval, escalated=event.escalations, of=event.of)
    _put(draft, replace(gate, approval=request))


def _voted(draft: Draft, event: e.ApprovalVoted, at: int) -> None:
    gate = draft.gates[event.name]
    assert gate.approval is not None
    vote = Vote(
        event.by, event.answer, event.stands_on, event.voice, event.comment, event.key, event.proof, event.alone
    )
    votes = tuple(each for each in gate.approval.votes if each.by not in event.dropped)
    request = replace(gate.approval, votes=(*votes, vote))
    draft.gates = draft.gates.set(event.name, replace(gate, approval=request))


def _ended(draft: Draft, event: e.ApprovalEnded, at: int) -> None:
    gate = draft.gates[event.name]
    approved = event.outcome == "approved"
    draft.close_gate(event.name)
    if gate.scope is GateScope.BATCH:
        batch_answered(draft, gate, at, approved=approved)
    elif gate.scope is not GateScope.RUN:
        grants.settle(draft, gate, approved=approved, reason=event.reason)
        draft.agenda += [Work("step", key) for key in sorted(gate.waiting)]


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.ApprovalAsked: _asked,
        e.ApprovalAwaited: _awaited,
        e.ApprovalEscalated: _escalated,
        e.ApprovalVoted: _voted,
        e.ApprovalEnded: _ended,
    }
)
