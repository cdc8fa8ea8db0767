"""Rollback as part of the fold: which runs are compensated, in which order, and what remains.

The order is the reverse of completion, step by step: all runs of a step on different hosts may be compensated together,
the hosts of a group go back independently of each other, each in its own reverse order (SEMANTICS: Rollback).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from immutables import Map

from pilotage_coordinator.domain.execution.index import ACTIONS, ROOT, undo_frame
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Frame
from pilotage_coordinator.domain.execution.state import ROOT_KEY, Rollback
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import Effect, Place, StepKind
from pilotage_coordinator.engine.closing import fan_progressed, frame_status, open_frame
from pilotage_coordinator.engine.draft import Draft, Duty, Work

_S = StepRunStatus
_DONE = (_S.SUCCEEDED, _S.COMPENSATION_FAILED)


def begin(draft: Draft, rollback: Rollback, hosts: Sequence[str], at: int) -> None:
    """Add a rollback; it starts when those before it have ended."""
    if not rollback.actions:
        rollback = replace(rollback, waves=_waves(draft, rollback, hosts))
    draft.rollbacks = (*draft.rollbacks, rollback)
    if len(draft.rollbacks) == 1:
        _start(draft, at)


def _start(draft: Draft, at: int) -> None:
    rollback = draft.rollbacks[0]
    if rollback.actions:
        draft.rollbacks = (replace(rollback, remaining=1), *draft.rollbacks[1:])
        open_frame(draft, RunKey(ACTIONS), Frame(), at)
        return
    _start_wave(draft, at)


def _start_wave(draft: Draft, at: int) -> None:
    rollback = draft.rollbacks[0]
    while rollback.wave < len(rollback.waves):
        # A run may have been compensated by a rollback that was queued before this one.
        left = [key for key in rollback.waves[rollback.wave] if draft.runs[key].status in _DONE]
        if left:
            draft.rollbacks = (
                replace(rollback, remaining=len(left), waiting=Map((key, None) for key in left)),
                *draft.rollbacks[1:],
            )
            draft.agenda.append(Work("wave", ROOT_KEY))
            return
        rollback = replace(rollback, wave=rollback.wave + 1)
    draft.rollbacks = (rollback, *draft.rollbacks[1:])
    _end(draft, at)


def begun(draft: Draft, key: RunKey) -> None:
    """Take a run out of those of the present wave whose compensation has not begun."""
    rollback = draft.rollbacks[0]
    if key in rollback.waiting:
        draft.rollbacks = (replace(rollback, waiting=rollback.waiting.delete(key)), *draft.rollbacks[1:])


def ended(draft: Draft, status: StepRunStatus, error: str, at: int) -> None:
    """Count one compensation of the present wave that ended as `status`; the run is already stored."""
    rollback = draft.rollbacks[0]
    failed = rollback.failed or status is not _S.COMPENSATED
    if status is not _S.COMPENSATED and not draft.rollback_failed:
        draft.rollback_failed = error
    rollback = replace(rollback, remaining=rollback.remaining - 1, failed=failed)
    draft.rollbacks = (rollback, *draft.rollbacks[1:])
    if rollback.remaining:
        return
    if failed:
        _end(draft, at)
        return
    draft.rollbacks = (replace(rollback, wave=rollback.wave + 1), *draft.rollbacks[1:])
    _start_wave(draft, at)


def _end(draft: Draft, at: int) -> None:
    rollback, *rest = draft.rollbacks
    draft.rollbacks = tuple(rest)
    if rollback.step:
        key = RunKey(rollback.step, "", rollback.item)
        draft.put_fan(key, draft.fans[key]._replace(revert=False))
        fan_progressed(draft, key, at)
    else:
        draft.rolled_back = True
        draft.duties.append(Duty("body", ROOT_KEY))
    if draft.rollbacks:
        _start(draft, at)


def frame_returned(draft: Draft, key: RunKey, at: int) -> None:
    """Count the end of a frame of undo steps, or of the blueprint's rollback actions."""
    frame = draft.frames[key]
    succeeded = frame_status(frame) is _S.SUCCEEDED
    if key.path == ACTIONS:
        ended(
            draft, _S.COMPENSATED if succeeded else _S.COMPENSATION_FAILED, "an action of the rollback plan failed", at
        )
        return
    run_key = RunKey(key.path.removesuffix(undo_frame("")), key.host, key.item)
    status = _S.COMPENSATED if succeeded else _S.COMPENSATION_FAILED
    error = "" if succeeded else "an undo step failed"
    draft.put(draft.runs[run_key]._replace(status=status, undo_error=error, ended_at=at))
    ended(draft, status, f"undo of {run_key}: {error}", at)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is to be compensated in one part of the execution: waves in order, and when its last run settled."""

    waves: tuple[tuple[RunKey, ...], ...] = ()
    last: int = 0


def _waves(draft: Draft, rollback: Rollback, hosts: Sequence[str]) -> tuple[tuple[RunKey, ...], ...]:
    if not rollback.step:
        return _frame(draft, ROOT_KEY).waves
    chosen = frozenset(hosts)
    return _step(draft, rollback.step, RunKey(ROOT, "", rollback.item), chosen).waves


def _frame(draft: Draft, key: RunKey) -> _Part:
    # It may stand open no more: what succeeded before a retry is kept without being opened again.
    return _in_turn(_step(draft, path, key, None) for path in draft.index.frames[key.path].body)


def _step(draft: Draft, path: str, frame: RunKey, hosts: frozenset[str] | None) -> _Part:
    info = draft.index.steps[path]
    if not info.fans:
        return _unit(draft, RunKey(path, frame.host, frame.item))
    known = sorted({key.host for key in draft.by_path.get(path, _NO_RUNS)})
    return _together(_unit(draft, RunKey(path, host, frame.item)) for host in known if hosts is None or host in hosts)


def _unit(draft: Draft, key: RunKey) -> _Part:
    items = draft.items.get(RunKey(key.path, key.host)) if draft.index.steps[key.path].loops else None
    if items is None:
        return _body(draft, key)
    return _in_turn(_body(draft, RunKey(key.path, key.host, item)) for item in sorted(items))


def _body(draft: Draft, key: RunKey) -> _Part:
    run = draft.runs.get(key)
    if run is None:
        return _Part()
    if run.kind is not StepKind.LEAF:
        return _frame(draft, key)
    if run.status not in _DONE:
        return _Part(last=run.sequence)
    step = draft.index.steps[key.path].step
    if step.irreversible or step.undo == "none":
        reason = "irreversible" if step.irreversible else "undo: none"
        draft.kept_back = draft.kept_back.set(key, reason)
        return _Part(last=run.sequence)
    nothing_done = step.effect is Effect.READ or (step.place is Place.COORDINATOR and step.undo == "auto")
    return _Part(last=run.sequence) if nothing_done else _Part(((key,),), run.sequence)


def _in_turn(parts: Iterable[_Part]) -> _Part:
    latest_first = sorted(parts, key=lambda part: part.last, reverse=True)
    waves = tuple(wave for part in latest_first for wave in part.waves)
    return _Part(waves, latest_first[0].last if latest_first else 0)


def _together(parts: Iterable[_Part]) -> _Part:
    beside: list[list[RunKey]] = []
    last = 0
    for part in parts:
        last = max(last, part.last)
        for number, wave in enumerate(part.waves):
            if number == len(beside):
                beside.append([])
            beside[number] += wave
    return _Part(tuple(tuple(wave) for wave in beside), last)


_NO_RUNS: Map[RunKey, None] = Map()
