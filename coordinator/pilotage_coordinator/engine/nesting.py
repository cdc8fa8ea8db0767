"""From a run to what is around it: its loop, its fan, its frame."""

from immutables import Map

from pilotage_coordinator.domain.execution.index import PlanIndex, StepInfo
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.states import PendingReason, StepRunStatus
from pilotage_coordinator.engine.draft import Draft


def loop_key(key: RunKey) -> RunKey:
    """Return the key of the loop that a run of a `for_each` step belongs to."""
    return RunKey(key.path, key.host)


def fan_key(index: PlanIndex, key: RunKey) -> RunKey:
    """Return the key of the fan that a run of a fanning step belongs to."""
    return RunKey(key.path, "", key.item if index.steps[key.path].carries_item else "")


def frame_key(index: PlanIndex, key: RunKey) -> RunKey:
    """Return the key of the frame in which a run's step stands."""
    info = index.steps[key.path]
    return RunKey(info.frame, key.host if info.on_host else "", key.item if info.carries_item else "")


def call_key(index: PlanIndex, call: str, key: RunKey) -> RunKey:
    """Return the key of the run of a call around a run."""
    info = index.steps[call]
    carries_item = info.carries_item or info.loops
    return RunKey(call, key.host if info.on_host else "", key.item if carries_item else "")


def unit_key(info: StepInfo, key: RunKey) -> RunKey:
    """Return the key of the step on the run's host: the run's own, or without the item of its own loop."""
    return RunKey(key.path, key.host) if info.loops else key


def fresh_run(draft: Draft, key: RunKey) -> StepRun:
    """Return the run as it is, or a new one that waits for nothing yet; attempt numbers always go on."""
    found = draft.runs.get(key)
    if found is not None:
        return found._replace(reason=None, detail="")
    return StepRun(key, draft.index.steps[key.path].step.kind, StepRunStatus.PENDING, PendingReason.DEPENDENCY)


def without(names: Map[str, None], name: str) -> Map[str, None]:
    """Return the set without a name that may not be in it."""
    return names.delete(name) if name in names else names


def gate_name(draft: Draft, wanted: str, key: RunKey) -> str:
    """Return a name under which a gate can be released: the wanted one, or with its place where that is taken."""
    return wanted if wanted not in draft.gates else f"{wanted} ({key})"
