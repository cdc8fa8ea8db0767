"""What ordering the hosts of a rollout and judging its batches make of the state."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution.index import analysis_frame, refresh_frame
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import Frame, GateScope, OpenGate
from pilotage_coordinator.engine import reopening
from pilotage_coordinator.engine.closing import fan_progressed
from pilotage_coordinator.engine.draft import Draft, Work


def _refresh_begun(draft: Draft, event: e.RefreshBegun, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]._replace(ordering=True)
    draft.put_fan(key, fan)
    left = frozenset(fan.hosts[fan.cursor :])
    reopening.open_anew(draft, RunKey(refresh_frame(event.path), "", event.item), Frame(), at, left)


def _refresh_ended(draft: Draft, event: e.RefreshEnded, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]
    draft.put_fan(key, fan._replace(ordering=False, refreshed=fan.batch))
    if not event.error:
        fan_progressed(draft, key, at)


def _hosts_ordered(draft: Draft, event: e.HostsOrdered, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]
    draft.put_fan(key, fan._replace(hosts=(*fan.hosts[: fan.cursor], *event.hosts), ordered=fan.batch))
    draft.agenda.append(Work("fan", key))


def _analysis_begun(draft: Draft, event: e.AnalysisBegun, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    draft.put_fan(key, draft.fans[key]._replace(analysing=True))
    reopening.open_anew(draft, RunKey(analysis_frame(event.path), "", event.item), Frame(), at)


def _analysis_ended(draft: Draft, event: e.AnalysisEnded, at: int) -> None:
    key = RunKey(event.path, "", event.item)
    fan = draft.fans[key]._replace(analysing=False, condemned=event.verdict == "fail", doubt=event.gate)
    if event.verdict == "pass":
        fan = fan._replace(analysed=fan.batch)
    draft.put_fan(key, fan)
    if event.gate:
        prompt = f"the analysis of batch {fan.batch + 1} of {event.path} is inconclusive: {event.reason}"
        gate = OpenGate(event.gate, event.path, "", event.item, prompt, opened_at=at, scope=GateScope.BATCH)
        draft.gates = draft.gates.set(event.gate, gate)
    elif event.verdict != "fail":
        fan_progressed(draft, key, at)


HANDLERS: Final[Mapping[type[e.Event], Callable[[Draft, Any, int], None]]] = MappingProxyType(
    {
        e.RefreshBegun: _refresh_begun,
        e.RefreshEnded: _refresh_ended,
        e.HostsOrdered: _hosts_ordered,
        e.AnalysisBegun: _analysis_begun,
        e.AnalysisEnded: _analysis_ended,
    }
)
