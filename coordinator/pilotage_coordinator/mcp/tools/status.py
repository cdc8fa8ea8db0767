"""An execution as tools show it: where it is, what it waits for and who can change that, what went wrong."""

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.mcp.untrusted import Fence
from pilotage_coordinator.service.execution_view import ExecutionDetail, ExecutionSummary, GateAnswer, StepRunAnswer
from pilotage_coordinator.service.wire import Answer

MOST_SHOWN: Final = 50
"""Step runs in one answer; what went wrong comes first."""
WENT_WRONG: Final = frozenset({"failed", "unknown", "compensation_failed"})
AT_WORK: Final = frozenset({"assigned", "running", "cancelling", "compensating"})
RESTING: Final = frozenset({"waiting_approval", "paused", "needs_attention"})
"""States in which nothing goes on until a person has done something."""


class WaitsFor(Answer):
    """Something that only a person can do, and the command with which they do it. You cannot."""

    what: str
    approval_id: str
    """Of the request for approval; empty where something else is waited for."""
    step: str
    host: str
    asks: str
    """What is asked, as the blueprint words it; it may hold output of hosts."""
    of: str
    """Who must agree, in words."""
    since: str
    until: str
    """When it ends unanswered; empty: never."""
    command: str
    """To be run by a person who may decide."""


class StepRow(Answer):
    """One step on one host (empty: the coordinator)."""

    step: str
    host: str
    item: str
    state: str
    waits_for: str
    attempts: int
    started_at: str
    ended_at: str
    error: str
    """Untrusted output of the host."""
    failure_kind: str
    outputs: str
    """JSON, untrusted output of the host; empty without any."""


class Brief(Answer):
    """An execution in a few words."""

    execution_id: str
    workflow_name: str
    version: str
    state: str
    ended: bool
    requested_by: str
    plan_digest: str
    created_at: str
    started_at: str
    ended_at: str
    counts: dict[str, int]
    summary: str


class Status(Brief):
    """An execution as it is now."""

    reason: str
    waiting: list[WaitsFor]
    approval_url: str
    """Where a person decides in a browser; empty: by the commands in `waiting`."""
    steps: list[StepRow]
    steps_omitted: int
    parameters: dict[str, JsonValue]
    outputs: str
    warnings: list[str]
    sequence: int
    """Of its newest event; wait_workflow goes on from here."""
    how_to_go_on: str


def brief(run: ExecutionSummary) -> Brief:
    """Return an execution of a list."""
    return Brief(**_head(run), summary=_sentence(run, ()))


def status(fence: Fence, run: ExecutionDetail, most: int = MOST_SHOWN) -> Status:
    """Return an execution as it is now; of its step runs, those first that went wrong or are at work."""
    ranked = sorted(run.runs, key=_urgency)
    shown = ranked[:most]
    waiting = waits(fence, run)
    return Status(
        **_head(run),
        summary=_sentence(run, waiting),
        reason=fence("", run.reason),
        waiting=waiting,
        approval_url="",
        steps=[row(fence, each) for each in shown],
        steps_omitted=len(run.runs) - len(shown) + run.runs_omitted,
        parameters=run.parameters,
        outputs=fence("", run.outputs, rest="get_workflow_status with a step shows that step's"),
        warnings=[fence("", each, 1000) for each in run.warnings[:20]],
        sequence=run.sequence,
        how_to_go_on=_next(run, waiting),
    )


def row(fence: Fence, run: StepRunAnswer) -> StepRow:
    """Return one step run."""
    more = "get_step_logs with this step and host"
    return StepRow(
        step=run.step,
        host=run.host,
        item=run.item,
        state=run.state,
        waits_for=run.waits_for,
        attempts=run.attempts,
        started_at=run.started_at,
        ended_at=run.ended_at,
        error=fence(run.host, run.error or (run.detail if run.state != "succeeded" else ""), 2000, more),
        failure_kind=run.failure_kind,
        outputs=fence(run.host, run.outputs, 1000, "get_workflow_status with this step and host"),
    )


def waits(fence: Fence, run: ExecutionDetail) -> list[WaitsFor]:
    """Return what only a person can do now."""
    found = [_gate(fence, run, each) for each in run.gates]
    for each in run.runs:
        if each.state == "unknown":
            where = f" --host {each.host}" if each.host else ""
            item = f" --item '{each.item}'" if each.item else ""
            command = f"pilotage run resolve {run.id} {each.step}{where}{item} --as succeeded|failed|retry"
            asks = "Nobody knows how it ended: somebody must look there and say."
            found.append(_waits("unknown outcome", asks, command, each.step, each.host, each.ended_at))
    if run.state == "paused":
        found.append(_waits("pause", "It is paused.", f"pilotage run resume {run.id}"))
    return found[:MOST_SHOWN]


def ended(state: str) -> bool:
    """Return whether nothing more happens by itself, ever."""
    return ExecutionStatus(state).terminal


def _gate(fence: Fence, run: ExecutionDetail, gate: GateAnswer) -> WaitsFor:
    asks = fence("", gate.prompt, 1000)
    if not gate.approval:
        command = f"pilotage run release {run.id} {gate.name}"
        return _waits("gate", asks, command, gate.step, gate.host, gate.opened_at)
    agreed = f"; {', '.join(gate.agreed)} agreed" if gate.agreed else ""
    asked = _waits("approval", asks, f"pilotage approval approve {gate.approval}", gate.step, gate.host, gate.opened_at)
    return asked.model_copy(
        update={"approval_id": gate.approval, "of": f"{gate.asks}{agreed}", "until": gate.expires_at}
    )


def _waits(what: str, asks: str, command: str, step: str = "", host: str = "", since: str = "") -> WaitsFor:
    return WaitsFor(
        what=what, approval_id="", step=step, host=host, asks=asks, of="", since=since, until="", command=command
    )


def _head(run: ExecutionSummary) -> dict[str, object]:
    return {
        "execution_id": run.id,
        "workflow_name": run.blueprint,
        "version": run.version,
        "state": run.state,
        "ended": ended(run.state),
        "requested_by": run.requested_by,
        "plan_digest": run.plan_digest,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "counts": run.counts,
    }


def _sentence(run: ExecutionSummary, waiting: Sequence[WaitsFor]) -> str:
    done = sum(run.counts.get(each, 0) for each in ("succeeded", "skipped"))
    wrong = sum(run.counts.get(each, 0) for each in WENT_WRONG)
    parts = [f"{run.name or run.blueprint} is {run.state.replace('_', ' ')}"]
    if run.counts:
        parts.append(f"{done} of {sum(run.counts.values())} step runs are done")
    if wrong:
        parts.append(f"{wrong} went wrong")
    if waiting:
        parts.append(f"it waits for a person: {', '.join(sorted({each.what for each in waiting}))}")
    return "; ".join(parts)


def _next(run: ExecutionDetail, waiting: Sequence[WaitsFor]) -> str:
    if waiting:
        return "Tell a person what is asked, with the command; then wait_workflow. You cannot decide it yourself."
    if not ended(run.state):
        return f"wait_workflow(execution_id, after={run.sequence}) waits for news"
    if run.state == "completed":
        return "It is over, and good."
    return "explain_execution says why it ended so and what can be done; retry_workflow runs again what failed"


def _urgency(run: StepRunAnswer) -> int:
    if run.state in WENT_WRONG:
        return 0
    return 1 if run.state in AT_WORK else 2 if run.state == "pending" else 3
