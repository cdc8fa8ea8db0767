"""What a failure means: absorbed, the end of its rollout, or the end of all that is around it (SEMANTICS, Graph).

A failure is absorbed by `on_failure: continue`, or by a rollout whose `max_failures` is not exceeded: the host drops
out, everything else goes on. Otherwise its frame is halted: nothing new starts in it, what runs ends. A group or call
that was halted fails in turn, and its own `on_failure` decides further out.
"""

from typing import Final

from pilotage_coordinator.domain.execution.events import HaltCause
from pilotage_coordinator.domain.execution.index import ROOT, StepInfo
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Fan, Phase
from pilotage_coordinator.domain.plan import OnFailure, PlannedStep, RolloutFailure, StepKind
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.nesting import fan_key, frame_key

_SEVERITY: Final = {None: 0, "stop": 1, "rollback": 2, "deadline": 3, "cancel": 4}


def matters(step: PlannedStep) -> bool:
    """Return whether a failure of the step is more than a warning."""
    return step.on_failure is not OnFailure.CONTINUE


def happened(draft: Draft, key: RunKey) -> None:
    """Draw the consequences of a step that failed on a host; the fan's counts already hold it."""
    info = draft.index.steps[key.path]
    where = fan_key(draft.index, key)
    fan = draft.fans[where] if info.fans else None
    if fan is not None and fan.max_failures >= 0 and fan.tally.failed <= fan.max_failures:
        return
    exceeded = fan is not None and fan.max_failures >= 0
    if fan is not None and exceeded and not fan.defeated:
        draft.put_fan(where, _defeated(fan, info))
    cause = _cause(draft, key, info.step, exceeded=exceeded)
    if cause is not None:
        mark_halted(draft, frame_key(draft.index, key), cause, _reason(draft, key))


def _reason(draft: Draft, key: RunKey) -> str:
    """Return what failed first, and why: the step inside a group or a gate rather than what is around it."""
    frame, run = draft.frames.get(key), draft.runs.get(key)
    if frame is not None and frame.halt_reason and not (run is not None and run.error):
        return frame.halt_reason
    return f"{key} failed" + (f": {run.error}" if run is not None and run.error else "")


def _defeated(fan: Fan, info: StepInfo) -> Fan:
    limit = "none may" if fan.max_failures == 0 else f"at most {fan.max_failures} may"
    return fan._replace(
        ended=f"{fan.tally.failed} of its hosts failed, {limit}",
        defeated=True,
        revert=wants_revert(info),
    )


def _cause(draft: Draft, key: RunKey, step: PlannedStep, *, exceeded: bool) -> HaltCause | None:
    if step.on_failure is OnFailure.CONTINUE:
        return None
    inner: HaltCause | None = "stop"
    if step.kind in (StepKind.GROUP, StepKind.CALL):
        frame = draft.frames.get(key)
        if frame is not None and not frame.finally_failed:
            inner = frame.halted
    if inner is None and not exceeded:
        return None  # every failure inside was one to continue after
    return "rollback" if step.on_failure is OnFailure.ROLLBACK or inner == "rollback" else "stop"


def wants_revert(info: StepInfo) -> bool:
    """Return whether a defeated rollout is reverted. What is itself part of a rollback is not."""
    return info.step.rollout.on_failure is not RolloutFailure.STOP and not info.reverts


def rollout_ended(draft: Draft, key: RunKey, reason: str) -> None:
    """Draw the consequences of a rollout that a closed gate ended; as if too many of its hosts had failed."""
    info = draft.index.steps[key.path]
    if info.step.on_failure is OnFailure.CONTINUE:
        return
    cause: HaltCause = "rollback" if info.step.on_failure is OnFailure.ROLLBACK else "stop"
    mark_halted(draft, RunKey(info.frame, "", key.item), cause, f"{key.path}: {reason}")


def mark_halted(draft: Draft, key: RunKey, cause: HaltCause, reason: str) -> None:
    """Let nothing new start in a frame; what is pending inside is settled before the event is folded.

    Only a body can be halted: `finally` steps all have their turn, whatever becomes of the others.
    """
    frame = draft.frames[key]
    if frame.phase is not Phase.BODY or _SEVERITY[cause] <= _SEVERITY[frame.halted]:
        return
    draft.put_frame(key, frame._replace(halted=cause, halt_reason=reason))
    if key.path == ROOT:
        draft.halted = cause
        draft.reason = reason
    draft.halting.append(key)
