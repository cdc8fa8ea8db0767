"""What was approved in this pass of an execution, and what each start rests on. Part of the fold."""

from dataclasses import replace
from typing import TypeAlias

from pilotage_coordinator.domain.execution.index import ROOT
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope, Grant, OpenGate
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.engine.draft import Draft

State: TypeAlias = "Draft | ExecutionState"


def allowed(state: State) -> bool:
    """Return whether what must be approved before everything is."""
    return all(_granted(state, name) for name, _ in state.index.guards.get(ROOT, ()))


def rests_on(state: State, path: str) -> tuple[str, ...]:
    """Return the approvals that a start of a step rests on.

    Raises RuntimeError when one is missing: the engine starts nothing then, and this is the second lock on that door.
    """
    found: list[str] = []
    for name in state.index.guarding(path):
        grant = state.grants.get(name)
        if grant is None or not grant.approved:
            raise RuntimeError(f"{state.id} would start {path} without the approval that {name} asks for")
        found.append(grant.request)
    return tuple(found)


def _granted(state: State, name: str) -> bool:
    grant = state.grants.get(name)
    return grant is not None and grant.approved


def settle(draft: Draft, gate: OpenGate, *, approved: bool, reason: str) -> None:
    """Note what became of a request before a step, or before everything."""
    assert gate.approval is not None
    draft.grants = draft.grants.set(gate.name, Grant(gate.approval.id, approved, reason))
    if approved:
        return
    # One no is enough: nobody need answer the others that stand before the same.
    for name, _ in draft.index.guards.get(ROOT if gate.scope is GateScope.EXECUTION else gate.path, ()):
        draft.close_gate(name)


def no_longer_waits(draft: Draft, key: RunKey) -> None:
    """A step ends without having begun: who was asked for its sake alone is asked no more."""
    if not draft.index.guards:
        return
    for path in (key.path, ROOT):
        for name, _ in draft.index.guards.get(path, ()):
            gate = draft.gates.get(name)
            if gate is None or key not in gate.waiting:
                continue
            waiting = gate.waiting.delete(key)
            if waiting:
                draft.gates = draft.gates.set(name, replace(gate, waiting=waiting))
            else:
                draft.close_gate(name)
