"""From one batch of a rollout to the next: the order of its hosts, its analysis, what it waits for."""

from collections import Counter
from typing import Any, Literal, TypeAlias

from immutables import Map

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import analysis_frame, refresh_frame
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, GateScope
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.engine import approving
from pilotage_coordinator.engine.choosing import comparable
from pilotage_coordinator.engine.closing import frame_status
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.nesting import gate_name
from pilotage_coordinator.engine.scope import variables

_S = StepRunStatus

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]
"""What an analysis can say of a batch, by the output `verdict` of its steps."""


def next_batch(decision: Decision, key: RunKey, fan: Fan) -> bool:
    """Open the next batch, or hold it for a time or a gate; return whether it is open."""
    if fan.waiting:
        if fan.gate or fan.wait_until > decision.now:
            return False
    else:
        batches = decision.draft.index.steps[key.path].step.rollout.batches
        batch = batches[min(fan.batch, len(batches) - 1)] if batches else None
        if batch is not None and (batch.wait or batch.gate or batch.approval is not None):
            until = decision.now + batch.wait if batch.wait else 0
            wanted = batch.gate or (key.path if batch.approval is not None else "")
            gate = gate_name(decision.draft, f"{wanted}#{fan.batch + 1}", key) if wanted else ""
            decision.emit(e.BatchHeld(key.path, key.item, until, gate))
            if batch.approval is not None:
                what = batch.approval.description or f"batch {fan.batch + 1} of {key.path} is done: go on to the next?"
                approving.ask(decision, gate, batch.approval, GateScope.BATCH, key, what)
            return False
    decision.emit(e.BatchOpened(key.path, key.item, fan.batch + 1))
    return True


def awaits_order(draft: Draft, key: RunKey, fan: Fan) -> bool:
    """Return whether the hosts that have not begun must be ordered before the batch starts."""
    return fan.ordered < fan.batch and bool(draft.index.steps[key.path].step.rollout.order_by)


def order(decision: Decision, key: RunKey, fan: Fan) -> bool:
    """Order the hosts that have not begun, or first ask them what that depends on; return whether they are ordered.

    O(hosts that have not begun), once for each batch.
    """
    info = decision.draft.index.steps[key.path]
    rollout = info.step.rollout
    if rollout.refresh and fan.refreshed < fan.batch:
        decision.emit(e.RefreshBegun(key.path, key.item))
        return False
    ranks: dict[str, tuple[Any, ...]] = {}
    for host in fan.hosts[fan.cursor :]:
        decision.steps += 1
        here = RunKey(key.path, host, key.item)
        try:
            scope = decision.scope(variables(decision, here, info.call, rollout.order_by))
            ranks[host] = (*comparable(decision.world.expressions.render(rollout.order_by, scope)), host)
        except DomainError as error:
            decision.emit(e.RolloutEnded(key.path, key.item, f"order_by on {host}: {error}"))
            return False
    decision.emit(e.HostsOrdered(key.path, key.item, tuple(sorted(ranks, key=ranks.__getitem__))))
    return True


def refreshed(decision: Decision, key: RunKey) -> None:
    """Go on once the hosts were asked; what cannot be asked ends the rollout, as its order would be a guess."""
    draft = decision.draft
    frame = draft.frames[RunKey(refresh_frame(key.path), "", key.item)]
    error = ""
    if not draft.fans[key].ended and frame_status(frame) is not _S.SUCCEEDED:
        error = f"refresh: {_trouble(draft, refresh_frame(key.path), key.item)}"
    decision.emit(e.RefreshEnded(key.path, key.item, error))
    if error:
        decision.emit(e.RolloutEnded(key.path, key.item, error))


def judge(decision: Decision, key: RunKey) -> None:
    """Draw the consequences of an analysis: go on, end the rollout, or let a person decide."""
    draft = decision.draft
    fan = draft.fans[key]
    if fan.ended:
        decision.emit(e.AnalysisEnded(key.path, key.item, "stopped"))
        return
    verdict, reason = _verdict(draft, key)
    gate = gate_name(draft, f"{analysis_frame(key.path)}#{fan.batch + 1}", key) if verdict == "inconclusive" else ""
    decision.emit(e.AnalysisEnded(key.path, key.item, verdict, reason, gate))
    if verdict == "fail":
        decision.emit(e.RolloutEnded(key.path, key.item, f"the analysis of batch {fan.batch + 1} failed: {reason}"))


def _verdict(draft: Draft, key: RunKey) -> tuple[Verdict, str]:
    path = analysis_frame(key.path)
    status = frame_status(draft.frames[RunKey(path, "", key.item)])
    if status is _S.FAILED:
        return "fail", _trouble(draft, path, key.item)
    if status is not _S.SUCCEEDED:
        return "inconclusive", _trouble(draft, path, key.item)
    said: dict[str, str] = {}
    for step in draft.index.frames[path].body:
        for run_key in _runs(draft, step, key.item):
            verdict = draft.runs[run_key].outputs.get("verdict", "pass")
            said.setdefault(str(verdict), f"{run_key} says {verdict!r}")
    if "fail" in said:
        return "fail", said["fail"]
    doubtful = [reason for verdict, reason in sorted(said.items()) if verdict != "pass"]
    return ("inconclusive", doubtful[0]) if doubtful else ("pass", "")


def _runs(draft: Draft, path: str, item: str) -> list[RunKey]:
    """Return the runs of a step in the rollout of an item, in order."""
    carried = draft.index.steps[path].carries_item
    return sorted(key for key in draft.by_path.get(path, _NO_RUNS) if not carried or key.item == item)


def _trouble(draft: Draft, frame: str, item: str) -> str:
    """Return the first step of a frame that did not succeed, with its error, and how many others there are."""
    bad = [
        draft.runs[key]
        for path in draft.index.frames[frame].body
        for key in _runs(draft, path, item)
        if not draft.runs[key].status.satisfies
    ]
    if not bad:
        return "it did not take place"
    first = min(bad, key=lambda run: (run.status is not _S.FAILED, run.key))
    kinds = Counter(str(run.status) for run in bad)
    more = "" if len(bad) == 1 else f" ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})"
    why = first.error or first.detail
    return f"{first.key} {first.status}" + (f": {why}" if why else "") + more


_NO_RUNS: Map[RunKey, None] = Map()
