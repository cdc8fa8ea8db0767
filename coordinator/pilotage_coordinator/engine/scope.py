"""The names that an expression sees, built from the state for one run (BLUEPRINTS: Expressions).

Only the steps that a text names are looked up; their `results`, which cost as much as the step has runs, only if asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from immutables import Map

from pilotage_coordinator.domain.execution.index import judged_by, refreshed_by
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ROOT_KEY
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.values import SECOND, write_duration
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.nesting import call_key, fan_key, frame_key, loop_key
from pilotage_coordinator.engine.outcome import body_outcome


def variables(
    decision: Decision,
    key: RunKey,
    call: str,
    tree: Json,
    conditions: Sequence[str] = (),
    item: tuple[str, Json] | None = None,
) -> dict[str, Any]:
    """Return the variables for the expressions in `tree` and for bare conditions, seen from a run.

    `item` is its key and value, where the run's own step loops. Raises ExpressionError for what cannot be read.
    """
    draft, world = decision.draft, decision.world
    used = world.expressions.references(tree, conditions).paths
    around = call_key(draft.index, call, key) if call else None
    found: dict[str, Any] = {
        "parameters": _parameters(draft, around),
        "targets": _targets(draft, around),
        "hosts": world.hosts,
        "execution": _execution(draft, decision.now),
        "steps": _steps(draft, key, around, used),
    }
    if key.host:
        found["host"] = world.hosts.get(key.host) or {"name": key.host}
    if item is None:
        item = _item_around(draft, key)
    if item is not None:
        found["item_key"], found["item"] = item
    batch = _batch(draft, key) if any(path[0] == "batch" for path in used) else None
    if batch is not None:
        found["batch"] = {"index": batch.batch, "hosts": batch.hosts[batch.batch_start : batch.batch_end]}
    return found


def _parameters(draft: Draft, call: RunKey | None) -> Mapping[str, Json]:
    if call is None:
        return draft.plan.parameters
    known, own = draft.index.steps[call.path].step.arguments, draft.arguments.get(call)
    return {**known, **own} if own else known


def _targets(draft: Draft, call: RunKey | None) -> list[str]:
    """Return what `targets` names; inside a group a call has one host only."""
    if call is None:
        return list(draft.plan.targets)
    return [call.host] if call.host else list(draft.index.steps[call.path].step.targets)


def _execution(draft: Draft, now: int) -> Mapping[str, Json]:
    begun = datetime.fromtimestamp(draft.begun_at // SECOND, UTC)
    return {
        "id": draft.id,
        "started_at": begun.isoformat().replace("+00:00", "Z"),
        "elapsed": write_duration(max(0, now - draft.begun_at) // SECOND * SECOND),
        "outcome": str(body_outcome(draft)) if _body_over(draft) else str(ExecutionStatus.RUNNING),
        "seed": draft.seed,
        "requested_by": draft.requested_by,
    }


def _body_over(draft: Draft) -> bool:
    return draft.frames[ROOT_KEY].phase.value in ("finally", "returning", "closed")


def _steps(
    draft: Draft, key: RunKey, call: RunKey | None, used: Iterable[tuple[str, ...]]
) -> dict[str, dict[str, Any]]:
    named: dict[str, bool] = {}
    for path in used:
        if path[0] == "steps" and len(path) > 1:
            named[path[1]] = named.get(path[1], False) or path[2:3] == ("results",)
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(named):
        step = draft.index.names.get((call.path if call is not None else "", name))
        if step is not None:
            found[name] = _step(draft, step, key, call, with_results=named[name])
    return found


def _step(draft: Draft, path: str, key: RunKey, call: RunKey | None, *, with_results: bool) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    run = _seen_run(draft, path, key)
    if run is not None:
        seen = {"status": str(run.status), "error": run.error, "outputs": run.outputs}
    else:
        status = _status(draft, path, key)
        if status:
            seen["status"] = status
    if with_results:
        judged = judged_by(draft.index.steps[key.path].frame) if key.path in draft.index.steps else ""
        seen["results"] = results(draft, path, call, _batch(draft, key) if judged else None)
    return seen


def _seen_run(draft: Draft, path: str, key: RunKey) -> StepRun | None:
    step = draft.index.steps[path].step
    candidates = [RunKey(path, key.host, key.item), RunKey(path, key.host), RunKey(path)]
    if step.run_once and step.hosts:
        candidates += [RunKey(path, step.hosts[0], key.item), RunKey(path, step.hosts[0])]
    return next((draft.runs[each] for each in candidates if each in draft.runs), None)


def _status(draft: Draft, path: str, key: RunKey) -> str:
    loop = draft.loops.get(RunKey(path, key.host))
    if loop is not None and loop.status is not None:
        return str(loop.status)
    frame = draft.frames.get(frame_key(draft.index, RunKey(path, key.host, key.item)))
    ended = frame.closed.get(path) if frame is not None else None
    return "" if ended is None else str(ended)


def results(draft: Draft, path: str, call: RunKey | None = None, batch: Fan | None = None) -> list[dict[str, Any]]:
    """Return how a step ended everywhere, or on the hosts of a batch, sorted by host and item. O(runs of the step).

    What is inside a call sees nothing of the call's other hosts and items.
    """
    hosts = None if batch is None else {"", *batch.hosts[batch.batch_start : batch.batch_end]}
    keys = draft.by_path.get(path, _NO_RUNS)
    runs = [
        draft.runs[key]
        for key in keys
        if (hosts is None or key.host in hosts) and (call is None or call_key(draft.index, call.path, key) == call)
    ]
    return [
        {
            "host": run.key.host,
            "item": run.key.item,
            "status": str(run.status),
            "outputs": run.outputs,
            "error": run.error,
            "duration_s": max(0, run.ended_at - run.started_at) / SECOND if run.started_at and run.ended_at else 0.0,
            "attempts": run.attempts,
        }
        for run in sorted(runs, key=lambda run: (run.key.host, run.key.item))
    ]


def _item_around(draft: Draft, key: RunKey) -> tuple[str, Json] | None:
    info = draft.index.steps.get(key.path)
    while info is not None and key.item:
        if info.loops:
            path = info.step.path
            items = draft.items.get(loop_key(RunKey(path, key.host))) or draft.items.get(RunKey(path)) or {}
            return (key.item, items[key.item]) if key.item in items else None
        info = draft.index.steps.get(info.step.parent)
    return None


def _batch(draft: Draft, key: RunKey) -> Fan | None:
    """Return the fan whose batch a run belongs to, judges or prepares."""
    info = draft.index.steps.get(key.path)
    while info is not None:
        asked_by = judged_by(info.frame) or refreshed_by(info.frame)
        if asked_by:
            return draft.fans.get(RunKey(asked_by, "", key.item))
        if info.fans:
            return draft.fans.get(fan_key(draft.index, RunKey(info.step.path, key.host, key.item)))
        info = draft.index.steps.get(info.frame)
    return None


_NO_RUNS: Map[RunKey, None] = Map()
