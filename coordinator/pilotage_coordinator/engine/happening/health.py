"""What the rounds of a health gate make of the state."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Frame, Phase
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.domain.execution.timers import TimerKind
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.engine import reopening
from pilotage_coordinator.engine.closing import run_ended
from pilotage_coordinator.engine.draft import Draft


def _probed(draft: Draft, event: e.HealthProbed, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    draft.put_frame(key, draft.frames[key]._replace(healthy_since=event.since))
    draft.put(draft.runs[key]._replace(reason=PendingReason.HEALTH, detail=event.detail))
    draft.set_timer(TimerKind.HEALTH, key, event.next_at)


def _round_opened(draft: Draft, event: e.HealthRoundOpened, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    draft.set_timer(TimerKind.HEALTH, key, 0)
    draft.put(draft.runs[key]._replace(reason=None))
    reopening.open_anew(draft, key, Frame(healthy_since=draft.frames[key].healthy_since), at)


def _restarted(draft: Draft, event: e.HealthRestarted, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    gate = draft.index.steps[event.path].step.health
    draft.set_timer(TimerKind.HEALTH_DEADLINE, key, at + gate.within if gate is not None else 0)
    frame = draft.frames[key]
    draft.put_frame(key, frame._replace(healthy_since=0, stale=frame.phase is Phase.BODY))


def _settled(draft: Draft, event: e.HealthSettled, at: int) -> None:
    key = RunKey(event.path, event.host, event.item)
    draft.unset_timers(key)
    draft.put_frame(key, draft.frames[key]._replace(phase=Phase.CLOSED))
    kind = FailureKind.STEP if event.status is StepRunStatus.FAILED else None
    draft.put(
        draft.runs[key]._replace(
            status=event.status, reason=None, detail=event.detail, error=event.error, failure_kind=kind, ended_at=at
        )
    )
    run_ended(draft, key, at)


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.HealthProbed: _probed,
        e.HealthRoundOpened: _round_opened,
        e.HealthRestarted: _restarted,
        e.HealthSettled: _settled,
    }
)
