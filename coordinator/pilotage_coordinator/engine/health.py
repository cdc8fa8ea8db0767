"""Health gates: checks of a host that are tried again and again, until they were good for long enough or it is late."""

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Phase
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.execution.timers import Timer, TimerKind
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import FailureKind, Health
from pilotage_coordinator.domain.values import SECOND, write_duration
from pilotage_coordinator.engine.closing import frame_status
from pilotage_coordinator.engine.decision import Decision
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.halting import idle_status
from pilotage_coordinator.engine.nesting import frame_key

_S = StepRunStatus
_UNANSWERED = "no answer before the host had to be healthy"


def judge(decision: Decision, key: RunKey) -> None:
    """Draw the consequences of a round that is over."""
    draft = decision.draft
    gate, frame = _gate(draft, key), draft.frames[key]
    if frame.phase is not Phase.RETURNING:
        return
    around = draft.frames[frame_key(draft.index, key)]
    if around.halted is not None:
        decision.emit(e.HealthSettled(*key, idle_status(around.halted), detail=around.halt_reason))
        return
    now = decision.now
    deadline = draft.timers.times[Timer(TimerKind.HEALTH_DEADLINE, key)]
    good = frame_status(frame) is _S.SUCCEEDED and not frame.stale
    since = (frame.healthy_since or now) if good else 0
    if good and now - since >= gate.for_:
        decision.emit(e.HealthSettled(*key, _S.SUCCEEDED, detail=f"healthy for {_span(now - since)}"))
        return
    detail = f"healthy for {_span(now - since)} of {_span(gate.for_)}" if good else _trouble(draft, key)
    if frame.stale and now < deadline:
        # Some of its answers are from before the pause or the restart.
        decision.emit(e.HealthProbed(*key, 0, min(now + gate.every, deadline), "asked anew"))
        return
    if not decision.starting:
        # In a pause nobody looks: the gate has its time again at the resume.
        decision.emit(e.HealthProbed(*key, since, now, detail))
        return
    if now >= deadline:
        decision.emit(e.HealthSettled(*key, _S.FAILED, error=f"not healthy within {_span(gate.within)}: {detail}"))
        return
    next_at = min(now + gate.every, since + gate.for_ if good else deadline, deadline)
    decision.emit(e.HealthProbed(*key, since, next_at, detail))


def restart(decision: Decision) -> None:
    """Give every open gate its time again, after a pause or a restart: what nobody saw is not the host's fault."""
    gates = [timer.key for timer in decision.draft.timers.times if timer.kind is TimerKind.HEALTH_DEADLINE]
    for key in sorted(gates):
        decision.emit(e.HealthRestarted(*key))


def too_late(decision: Decision, key: RunKey) -> None:
    """End a gate whose time is over. A check that has not answered only reads: nobody needs to wait for it."""
    draft = decision.draft
    detail = draft.runs[key].detail or "no check has answered"
    for each in _checks(draft, key):
        attempt = draft.open.get(each)
        if attempt is not None:
            decision.emit(
                e.AttemptFinished(
                    *each,
                    attempt.kind,
                    attempt.attempt,
                    Outcome.INTERRUPTED,
                    _S.FAILED,
                    failure_kind=FailureKind.INFRASTRUCTURE,
                    error=_UNANSWERED,
                    ended_at=decision.now,
                    given_up=True,
                )
            )
        elif draft.runs[each].status is _S.PENDING:
            decision.emit(e.RunsSettled((each,), _S.FAILED, _UNANSWERED, FailureKind.TARGET))
    error = f"not healthy within {_span(_gate(draft, key).within)}: {detail}"
    decision.emit(e.HealthSettled(*key, _S.FAILED, error=error))


def _gate(draft: Draft, key: RunKey) -> Health:
    gate = draft.index.steps[key.path].step.health
    assert gate is not None, "a step of kind health has its times"
    return gate


def _checks(draft: Draft, key: RunKey) -> list[RunKey]:
    """Return the runs of the gate's checks on its host, in the order of the plan."""
    paths = draft.index.frames[key.path].body
    return [RunKey(path, key.host, key.item) for path in paths if RunKey(path, key.host, key.item) in draft.runs]


def _trouble(draft: Draft, key: RunKey) -> str:
    runs = [draft.runs[each] for each in _checks(draft, key)]
    bad = [run for run in runs if run.status is _S.FAILED] or [run for run in runs if not run.status.satisfies]
    if not bad:
        return "no check has answered"
    why = bad[0].error or bad[0].detail
    return f"{draft.index.steps[bad[0].key.path].step.id} {bad[0].status}" + (f": {why}" if why else "")


def _span(microseconds: int) -> str:
    return write_duration(microseconds // SECOND * SECOND)
