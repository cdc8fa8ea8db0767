"""How an unknown run weighs on what is around it: its host is held and counts as a failure, others go on."""

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.engine.draft import Draft, Work
from pilotage_coordinator.engine.nesting import fan_key, frame_key, loop_key, unit_key, without


def hold(draft: Draft, key: RunKey) -> None:
    """A run became unknown: hold its host in every fan around it."""
    _weigh(draft, key, 1)


def release(draft: Draft, key: RunKey) -> None:
    """A run is no longer unknown: a host without another unknown goes on."""
    _weigh(draft, key, -1)


def _weigh(draft: Draft, key: RunKey, change: int) -> None:
    while True:
        info = draft.index.steps[key.path]
        if info.loops and key.item:
            loop = draft.loops[loop_key(key)]
            left = loop.unknown + change
            draft.put_loop(loop_key(key), loop._replace(unknown=left))
            if left and (change < 0 or left > 1):
                return
        unit = unit_key(info, key)
        if info.fans:
            where = fan_key(draft.index, unit)
            fan = draft.fans[where]
            if change > 0:
                fan = fan._replace(running=without(fan.running, unit.host), held=fan.held.set(unit.host, None))
            else:
                fan = fan._replace(running=fan.running.set(unit.host, None), held=without(fan.held, unit.host))
            draft.put_fan(where, fan)
            draft.agenda.append(Work("fan", where))
        key = frame_key(draft.index, unit)
        if key.path not in draft.index.steps:
            return
        run = draft.runs[key]
        left = run.unknown + change
        draft.put(run._replace(unknown=left))
        if left and (change < 0 or left > 1):
            return
