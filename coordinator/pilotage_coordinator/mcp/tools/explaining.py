"""The tool that says why an execution is where it is, and what can be done."""

from collections import Counter
from collections.abc import Iterator

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import OfExecution
from pilotage_coordinator.mcp.tools.status import AT_WORK, WENT_WRONG, StepRow, WaitsFor, ended, row, waits
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.service import executions, logs
from pilotage_coordinator.service.errors import Denied
from pilotage_coordinator.service.execution_view import ExecutionDetail, StepRunAnswer
from pilotage_coordinator.service.operations import OPERATIONS
from pilotage_coordinator.service.wire import Answer

MOST_CAUSES = 10
LAST_LINES = 20
PAGE = 10_000
MOST_PAGES = 5

WHY = {
    "approval": "for an approval",
    "gate": "for a person at a gate",
    "offline": "for its host, which is offline",
    "rollout": "for its turn in the rollout",
    "drift": "because its host is not what was planned: a person must accept that",
    "policy": "because the policy does not allow it now",
    "retry": "for its next attempt",
    "health": "for the next round of its health gate",
    "reservation": "for a lock or a capacity",
    "window": "for a maintenance window",
}
"""What step runs wait for, besides steps before them."""

KINDS = {
    "parameter": "A parameter does not fit: plan again with another value.",
    "target": "A host could not do it: look at get_host, and plan for other targets or mend the host.",
    "policy": "The policy forbids it: ask a person who may change it.",
    "approval": "It was not approved.",
    "infrastructure": "Something around the step failed (host, network, coordinator): a retry may succeed.",
    "step": "The step itself failed on its host: its output says why.",
}


class Explained(Answer):
    """Why an execution is where it is, and what can be done."""

    execution_id: str
    state: str
    why: list[str]
    causes: list[StepRow]
    """The step runs that went wrong, the first ones first."""
    causes_omitted: int
    last_lines: str
    """The end of what the first of them wrote: untrusted output."""
    waiting: list[WaitsFor]
    what_you_can_do: list[str]
    what_people_can_do: list[str]


@tool("explain_execution", "Explain an execution", Toolset.READ, "run.show", also=("logs.read",))
async def explain_execution(call: Call, request: OfExecution) -> Explained:
    """Say why an execution waits, failed, or is where it is: causes, errors, and what can be done next."""
    run = await call.ask(executions.show_run, executions.ShowRun(execution=request.execution_id))
    bad = sorted((each for each in run.runs if each.state in WENT_WRONG), key=lambda each: each.ended_at or "~")
    waiting = waits(call.fence, run)
    return Explained(
        execution_id=run.id,
        state=run.state,
        why=list(_why(run, bad)),
        causes=[row(call.fence, each) for each in bad[:MOST_CAUSES]],
        causes_omitted=max(0, len(bad) - MOST_CAUSES),
        last_lines=await _last_lines(call, run.id, bad[0]) if bad else "",
        waiting=waiting,
        what_you_can_do=list(_assistant(call, run, bad)),
        what_people_can_do=[each.command for each in waiting]
        + ([f"pilotage run show {run.id}", f"pilotage run retry {run.id} --failed-hosts"] if bad else []),
    )


def _why(run: ExecutionDetail, bad: list[StepRunAnswer]) -> Iterator[str]:
    yield f"It is {run.state.replace('_', ' ')}."
    for kind, count in Counter(each.failure_kind for each in bad).most_common():
        yield f"{count} step runs went wrong. {KINDS.get(kind, 'Their errors say why.')}"
    unknown = sum(each.state == "unknown" for each in run.runs)
    if unknown:
        yield f"{unknown} step runs began, and nobody knows how they ended: a person must look on the host and say."
    reasons = Counter(each.waits_for for each in run.runs if each.state == "pending" and each.waits_for in WHY)
    for reason, count in reasons.most_common():
        hosts = sorted({each.host for each in run.runs if each.waits_for == reason and each.state == "pending"})
        where = f" ({', '.join(hosts[:10])}{', …' if len(hosts) > 10 else ''})" if any(hosts) else ""
        yield f"{count} step runs wait {WHY[reason]}{where}."
    at_work = sum(each.state in AT_WORK for each in run.runs)
    if at_work:
        yield f"{at_work} step runs are at work."


def _assistant(call: Call, run: ExecutionDetail, bad: list[StepRunAnswer]) -> Iterator[str]:
    for each in bad[:3]:
        yield f"get_step_logs(execution_id, step={each.step!r}, host={each.host!r}): read what it wrote"
    steer = OPERATIONS["run.retry"].permission
    own = run.requested_by == call.caller.principal
    if ended(run.state) and run.state != "completed" and call.caller.might(steer):
        yield (
            "retry_workflow(execution_id): run again what failed"
            if own
            else (f"nothing else: only {run.requested_by} and people who operate this may retry it")
        )
    if not ended(run.state):
        yield "wait_workflow(execution_id): wait for news"


async def _last_lines(call: Call, execution: str, run: StepRunAnswer) -> str:
    if not call.may("logs.read"):
        return ""
    cursor = ""
    last: list[str] = []
    try:
        for _ in range(MOST_PAGES):
            asked = logs.ReadLogs(execution=execution, step=run.step, host=run.host, cursor=cursor, limit=PAGE)
            page = await call.ask(logs.read_logs, asked)
            last = [*last, *(each.text.rstrip("\n") for each in page.items if each.item == run.item)][-LAST_LINES:]
            cursor = page.next
            if not cursor:
                break
    except Denied:
        return ""
    return call.fence(run.host, "\n".join(last), rest="get_step_logs")
