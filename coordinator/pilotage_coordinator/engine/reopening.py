"""Taking up ended work again: what succeeded is kept and adopted when its turn comes, everything else is reset.

Attempt numbers always go on counting, so that an attempt's identity is never used twice.
"""

from collections.abc import Container, Iterable, Iterator

from immutables import Map

from pilotage_coordinator.domain.execution.index import ROOT, PlanIndex, Role
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Frame, Passed
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ROOT_KEY
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.execution.timers import TimerKind, Timers
from pilotage_coordinator.engine.closing import open_frame
from pilotage_coordinator.engine.draft import Draft

_S = StepRunStatus
_KEPT = (_S.SUCCEEDED, _S.SKIPPED)


def reopen(draft: Draft, step: str, by: str, at: int) -> None:
    """Begin the execution's body anew; with `step`, that step and all that depends on it run again too.

    What was approved was approved for the pass that is over.
    """
    again = affected(draft.index, step) if step else frozenset[str]()
    draft.passed = Map({key: _passed(fan) for key, fan in draft.fans.items() if key.path not in again})
    for name in ("frames", "fans", "loops", "waits", "kept", "gates", "grants", "kept_back"):
        setattr(draft, name, Map())
    draft.timers = Timers()
    draft.rollbacks = ()
    draft.reopened_by = by
    draft.halted = draft.reason = draft.rollback_failed = draft.rollback_unmet = ""
    draft.rolled_back = draft.warnings = False
    draft.pause_reason = None
    draft.pause_change = ""
    draft.begun_at = draft.begun_at or at
    draft.ended_at = 0
    _sort(draft, draft.index.steps, again)
    if draft.plan.deadline:
        draft.set_timer(TimerKind.EXECUTION_DEADLINE, ROOT_KEY, at + draft.plan.deadline)
    open_frame(draft, ROOT_KEY, Frame(), at)


def _passed(fan: Fan) -> Passed:
    """Return the batches of a rollout that are behind it: not the one that was condemned, denied or awaited."""
    over = fan.status is not None and not fan.ended
    if over:
        return Passed(fan.batch + 1, Map((host, None) for host in fan.hosts))
    return Passed(fan.batch, Map((host, None) for host in fan.hosts[: fan.batch_start]))


def reset_frame(draft: Draft, key: RunKey) -> None:
    """Make a frame that ended before ready to be opened once more, on its host; what succeeded in it is kept."""
    for run_key in _runs_inside(draft, key):
        _sort_run(draft, draft.runs[run_key], again=False)
    _forget(draft, key)


def _runs_inside(draft: Draft, frame: RunKey) -> list[RunKey]:
    """Return the runs of a frame, in order. On a host: O(steps inside), however many hosts there are."""
    found: list[RunKey] = []
    for path in sorted(set(_inside(draft.index, frame.path))):
        if not draft.index.frames[frame.path].on_host:
            keys = draft.by_path.get(path, _NO_RUNS)
            found += sorted(key for key in keys if _of_item(draft.index, frame, key))
            continue
        loop = draft.loops.get(RunKey(path, frame.host)) if draft.index.steps[path].loops else None
        items = sorted(loop.values) if loop is not None else []
        here = [RunKey(path, frame.host, item) for item in dict.fromkeys(("", frame.item, *items))]
        found += [key for key in here if key in draft.runs]
    return found


def _of_item(index: PlanIndex, frame: RunKey, key: RunKey) -> bool:
    """Return whether a run or a part of a step inside a frame that is not on a host belongs to the frame's item."""
    return not frame.item or not index.steps[key.path].carries_item or key.item == frame.item


def _forget(draft: Draft, frame: RunKey) -> None:
    """Forget how the parts of a frame went."""
    inside = frozenset(_inside(draft.index, frame.path))
    on_host = draft.index.frames[frame.path].on_host
    for name in ("fans", "loops", "waits", "frames"):
        known: Map[RunKey, object] = getattr(draft, name)
        if on_host:
            parts = {RunKey(path, frame.host, item) for path in inside for item in ("", frame.item)}
        else:
            parts = {key for key in known if key.path in inside and _of_item(draft.index, frame, key)}
        for key in parts:
            if key in known:
                known = known.delete(key)
        setattr(draft, name, known)


def open_anew(draft: Draft, key: RunKey, frame: Frame, at: int, hosts: Container[str] | None = None) -> None:
    """Open a frame whose steps run each time that it is opened: a round of checks, an analysis, a refresh.

    `hosts` are those that are asked again; what others said stays as it was.
    """
    inside = _runs_inside(draft, key)
    _forget(draft, key)
    for run_key in inside:
        if hosts is None or run_key.host in hosts:
            _sort_run(draft, draft.runs[run_key], again=True)
            if run_key in draft.kept:
                draft.kept = draft.kept.delete(run_key)
    open_frame(draft, key, frame, at)


def affected(index: PlanIndex, path: str) -> frozenset[str]:
    """Return the paths that must run again when `path` does: what it holds, what depends on it, what is around it."""
    found: set[str] = set()
    pending = [path]
    while pending:
        current = pending.pop()
        if current in found:
            continue
        found.add(current)
        found.update(_inside(index, current))
        pending += index.steps[current].dependents
        outer = index.steps[current].frame
        while outer in index.steps:
            found.add(outer)
            pending += index.steps[outer].dependents
            outer = index.steps[outer].frame
    return frozenset(found)


def _inside(index: PlanIndex, path: str) -> Iterator[str]:
    frame = index.frames.get(path)
    if frame is None:
        return
    for inner in (*frame.body, *frame.finally_):
        yield inner
        yield from _inside(index, inner)


def _sort(draft: Draft, paths: Iterable[str], again: frozenset[str]) -> None:
    for path in paths:
        for key in sorted(draft.by_path.get(path, _NO_RUNS)):
            _sort_run(draft, draft.runs[key], again=path in again or in_finally(draft.index, path))


def _sort_run(draft: Draft, run: StepRun, *, again: bool) -> None:
    if run.status in _KEPT and not again:
        draft.kept = draft.kept.set(run.key, None)
        return
    if run.status is _S.PENDING:
        return
    draft.put(
        run._replace(
            status=_S.PENDING,
            reason=PendingReason.DEPENDENCY,
            detail="",
            tries=0,
            interruptions=0,
            undo_tries=0,
            outputs={},
            error="",
            failure_kind=None,
            evidence={},
            planned_at=0,
            started_at=0,
            ended_at=0,
            retry_at=0,
            expired=False,
            unknown=0,
            sequence=0,
            undo_error="",
            gate="",
        )
    )


def in_finally(index: PlanIndex, path: str) -> bool:
    """Return whether a step is, or stands inside, a `finally` step of the execution."""
    while path in index.steps:
        info = index.steps[path]
        if info.role is Role.FINALLY and info.frame == ROOT:
            return True
        path = info.frame
    return False


_NO_RUNS: Map[RunKey, None] = Map()
