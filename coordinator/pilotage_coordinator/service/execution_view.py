"""An execution as people are shown it: where it is, on which hosts, what it waits for, and what happened when."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from heapq import nsmallest

from pydantic import JsonValue

from pilotage_coordinator.domain.approval.gate import in_words
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.nodes import GateScope, OpenGate
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.service.errors import Invalid
from pilotage_coordinator.service.wire import Answer, rfc3339
from pilotage_coordinator.store.records import EventRecord, ExecutionRecord

MOST_RUNS = 2000
"""Step runs in one answer; failed and unfinished ones come first, `runs_omitted` counts the rest."""
COORDINATOR = "coordinator"
"""Stands for steps that run on no host."""


@dataclass(frozen=True, slots=True)
class ChosenRuns:
    """Which step runs of an execution to show; empty fields choose all of them."""

    step: str = ""
    """A path, or the id of a step; of a group: everything inside it."""
    host: str = ""
    states: frozenset[StepRunStatus] = frozenset()

    def __contains__(self, run: StepRun) -> bool:
        on = (not self.host) or run.key.host == self.host or (self.host == COORDINATOR and not run.key.host)
        return on and inside(run.key.path, self.step) and (not self.states or run.status in self.states)


EVERY_RUN = ChosenRuns()


class ExecutionSummary(Answer):
    """An execution in a list."""

    id: str
    blueprint: str
    version: str
    name: str
    """What people call the blueprint; of a command, its words."""
    plan_digest: str
    state: str
    reason: str
    requested_by: str
    created_at: str
    started_at: str
    ended_at: str
    counts: dict[str, int]
    """Step runs by status."""
    warnings: list[str]


class StepRunAnswer(Answer):
    """One step on one host (empty: the coordinator), for one item (empty: no loop)."""

    step: str
    name: str
    host: str
    item: str
    state: str
    waits_for: str
    detail: str
    attempts: int
    started_at: str
    ended_at: str
    error: str
    failure_kind: str
    outputs: dict[str, JsonValue]
    evidence: dict[str, JsonValue]


class GateAnswer(Answer):
    """A gate that somebody must release; with `approval`, persons must approve."""

    name: str
    step: str
    host: str
    prompt: str
    opened_at: str
    approval: str
    """Id of the request that is answered; empty where the gate is released by `run.release`."""
    asks: str
    """Who must agree, in words."""
    agreed: list[str]
    """Who has so far."""
    expires_at: str


class ChangeRecordAnswer(Answer):
    """What an execution was started for; and how the change was closed, all empty while it is open."""

    change_class: str
    reference: str
    reason: str
    outcome: str
    note: str
    closed_at: str
    closed_by: str


class ExecutionDetail(ExecutionSummary):
    """One execution, whole. `sequence` is that of the newest event in it."""

    sequence: int
    parameters: dict[str, JsonValue]
    """Those of its plan: sensitive ones are masked."""
    outputs: dict[str, JsonValue]
    runs: list[StepRunAnswer]
    runs_omitted: int
    gates: list[GateAnswer]
    change: ChangeRecordAnswer | None = None
    """Null in a replay."""


class EventAnswer(Answer):
    """One event of an execution's history."""

    execution: str
    sequence: int
    at: str
    type: str
    data: dict[str, JsonValue]


class ProgressAnswer(Answer):
    """How far a running step is, as it says itself; `fraction` from 0 to 1, null when it cannot tell."""

    step: str
    host: str
    item: str
    fraction: float | None
    text: str


def summary(record: ExecutionRecord) -> ExecutionSummary:
    """Return an execution's row as it stands in a list."""
    progress = record.progress
    return ExecutionSummary(
        id=record.id,
        blueprint=record.blueprint_id,
        version=record.blueprint_version,
        name=record.name,
        plan_digest=record.plan_digest,
        state=progress.status,
        reason=progress.reason,
        requested_by=record.requested_by,
        created_at=rfc3339(record.created_at),
        started_at=rfc3339(progress.started_at or 0),
        ended_at=rfc3339(progress.ended_at or 0),
        counts=dict(progress.counts),
        warnings=list(progress.warnings),
    )


def detail(
    record: ExecutionRecord, state: ExecutionState, sequence: int, chosen: ChosenRuns = EVERY_RUN
) -> ExecutionDetail:
    """Return an execution whole, as `state` has it after the event `sequence` (the newest, or an earlier one).

    Goes over every step run: of many, not on the event loop. `chosen` narrows `runs`; `counts` are always of all of
    them. Raises Invalid for a step or host that is not in it.
    """
    every = [run for run in state.runs.values() if run.kind in (StepKind.LEAF, StepKind.HEALTH)]
    refuse_unknown(record, state, chosen)
    runs = [run for run in every if run in chosen]
    # Not a sort of all: that is one call, which would hold the interpreter even in a thread.
    first = nsmallest(MOST_RUNS, runs, key=lambda run: (_urgency(run), run.started_at or run.planned_at, run.key))
    shown = sorted(first, key=lambda run: (run.started_at or run.planned_at or 1 << 62, run.key))
    counts: dict[str, int] = {}
    for run in every:
        counts[run.status.value] = counts.get(run.status.value, 0) + 1
    row = summary(record).model_dump()
    row |= {
        "state": state.status.value,
        "reason": state.reason,
        "started_at": rfc3339(state.begun_at),
        "ended_at": rfc3339(state.ended_at),
        "counts": counts,
        "warnings": list(record.progress.warnings) if state.warnings else [],
    }
    return ExecutionDetail(
        **row,
        sequence=sequence,
        parameters=dict(state.plan.parameters),
        outputs=dict(state.outputs),
        runs=[step_run(state, run) for run in shown],
        runs_omitted=len(runs) - len(shown),
        gates=[_gate(each) for each in sorted(state.gates.values(), key=lambda gate: (gate.opened_at, gate.name))],
    )


def step_run(state: ExecutionState, run: StepRun) -> StepRunAnswer:
    """Return one step run; sensitive outputs are named and not shown."""
    step = state.step(run.key.path)
    return StepRunAnswer(
        step=run.key.path,
        name=step.name or step.id,
        host=run.key.host,
        item=run.key.item,
        state=run.status.value,
        waits_for=run.reason.value if run.reason else "",
        detail=run.detail,
        attempts=run.attempts,
        started_at=rfc3339(run.started_at),
        ended_at=rfc3339(run.ended_at),
        error=run.error or run.undo_error,
        failure_kind=run.failure_kind.value if run.failure_kind else "",
        outputs={
            name: "<sensitive>" if name in step.sensitive_outputs else value for name, value in run.outputs.items()
        },
        evidence=dict(run.evidence),
    )


def event(execution: str, record: EventRecord) -> EventAnswer:
    """Return one event."""
    return EventAnswer(
        execution=execution,
        sequence=record.sequence,
        at=rfc3339(record.at),
        type=record.type,
        data=dict(record.data),
    )


def progress(key: RunKey, value: tuple[float | None, str]) -> ProgressAnswer:
    """Return how far one step run is."""
    return ProgressAnswer(step=key.path, host=key.host, item=key.item, fraction=value[0], text=value[1])


def inside(path: str, wanted: str) -> bool:
    """Return whether a step is the one that is wanted (by path or by id), or inside it; nothing wanted is all."""
    parts = path.split("/")
    return not wanted or f"{path}/".startswith(f"{wanted}/") or wanted in parts


def refuse_unknown(record: ExecutionRecord, state: ExecutionState, chosen: ChosenRuns) -> None:
    """Raise Invalid when a step or host that is asked for is not in the execution."""
    paths = [path for path in state.index.steps if path]
    if chosen.step and not any(inside(path, chosen.step) for path in paths):
        near = get_close_matches(chosen.step, [*paths, *(path.rpartition("/")[2] for path in paths)], n=1)
        fix = f"did you mean `{near[0]}`?" if near else f"its steps: {', '.join(paths[:20])}"
        raise Invalid(f"{record.id} has no step `{chosen.step}`", fix=fix)
    hosts = {run.host for run in state.runs} | set(state.plan.targets)
    if chosen.host and chosen.host not in hosts | {COORDINATOR}:
        near = get_close_matches(chosen.host, sorted(hosts), n=1)
        fix = f"did you mean `{near[0]}`?" if near else f"its hosts: {', '.join(sorted(hosts - {''})[:20])}"
        raise Invalid(f"{record.id} has nothing to do on `{chosen.host}`", fix=fix)


def _urgency(run: StepRun) -> int:
    if run.status.value in ("failed", "unknown", "compensation_failed"):
        return 0
    return 2 if run.status.settled else 1


def _gate(gate: OpenGate) -> GateAnswer:
    asked = gate.approval
    whole = gate.scope is GateScope.EXECUTION
    return GateAnswer(
        name=gate.name,
        step="" if whole else gate.path,
        host="" if whole else gate.host,
        prompt=gate.prompt,
        opened_at=rfc3339(gate.opened_at),
        approval=asked.id if asked is not None else "",
        asks=in_words(replace(asked.gate, of=asked.of)) if asked is not None else "",
        agreed=[each.by for each in asked.votes] if asked is not None else [],
        expires_at=rfc3339(asked.until) if asked is not None else "",
    )
