"""A run's turn in its loop or fan."""

from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.nesting import fan_key, loop_key


def begun(draft: Draft, key: RunKey) -> None:
    """Count a run that is the next of its loop or fan as begun."""
    info = draft.index.steps[key.path]
    if info.loops and key.item:
        where = loop_key(key)
        loop = draft.loops[where]
        if loop.cursor < len(loop.keys) and loop.keys[loop.cursor] == key.item:
            draft.put_loop(where, loop._replace(cursor=loop.cursor + 1, running=loop.running.set(key.item, None)))
    elif info.fans:
        where = fan_key(draft.index, key)
        fan = draft.fans[where]
        if fan.cursor < len(fan.hosts) and fan.hosts[fan.cursor] == key.host:
            draft.put_fan(where, fan._replace(cursor=fan.cursor + 1, running=fan.running.set(key.host, None)))
