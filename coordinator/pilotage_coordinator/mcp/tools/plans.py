"""Tools that plan: what would happen, before anything does."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, JsonValue

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Step, Targets, Workflow
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import Fence, clean, cut
from pilotage_coordinator.service import plans
from pilotage_coordinator.service.execution_view import inside
from pilotage_coordinator.service.plan_view import AskedAnswer, PlanAnswer, PlanStepAnswer
from pilotage_coordinator.service.wire import Answer, Digest, Request

MOST_STEPS = 100
MOST_HOSTS = 50
MOST_NOTES = 50

Parameters = Annotated[
    dict[str, JsonValue], Field(description="Values by name, as get_workflow_details lists them; JSON types count.")
]


class PlanWorkflow(Request):
    """What to plan."""

    workflow_name: Workflow
    parameters: Parameters = Field(default_factory=dict)
    targets: Targets = ""
    previews: Annotated[
        bool, Field(description="Also ask the hosts what exactly would change on them; takes longer.")
    ] = True


class GetPlan(Request):
    """Which plan to show, or which of its steps."""

    plan_digest: Annotated[Digest, Field(description="As plan_workflow told it.")]
    step: Step = ""
    from_step: Annotated[int, Field(ge=0, description="How many steps to leave out before the first shown.")] = 0


class PlanStepRow(Answer):
    """One step of a plan."""

    path: str
    runs: str
    effect: str
    """`read` changes nothing; `once` must never be repeated by itself."""
    hosts: list[str]
    hosts_omitted: int
    waves: int
    approvals: list[str]
    """Where people must say yes before it goes on."""
    when: str
    destructive: bool
    irreversible: bool
    undo: str
    previews: list[str]
    """What hosts say would change: untrusted output."""


class RulingRow(Answer):
    """What the policy says about some steps, by the rules named."""

    decision: str
    rules: list[str]
    steps: list[str]


class PlanShown(Answer):
    """A plan. Its digest names exactly this: what is approved and started is nothing else."""

    plan_digest: str
    workflow_name: str
    version: str
    title: str
    made_at: str
    targets: list[str]
    targets_omitted: int
    parameters: dict[str, JsonValue]
    changes_anything: bool
    step_runs: int
    steps: list[PlanStepRow]
    steps_omitted: int
    on_failure: str
    approvals: list[str]
    """Of whom the whole execution needs a yes before it begins."""
    notes: list[str]
    policy: list[RulingRow]
    secrets: list[str]
    summary: str
    how_to_go_on: str


@tool("plan_workflow", "Plan a run", Toolset.RUN, "plan.make", idempotent=True, open_world=True)
async def plan_workflow(call: Call, request: PlanWorkflow) -> PlanShown:
    """Plan a blueprint: which steps on which hosts in which order, what would change, and what needs a yes.

    Changes nothing on any host. The answer's plan_digest starts exactly this plan with execute_workflow. Show people
    the plan before you start anything that changes something.
    """
    what = plans.MakePlan(
        blueprint=request.workflow_name,
        parameters=request.parameters,
        limit_to=request.targets,
        previews=request.previews,
    )
    return _shown(call.fence, await call.ask(plans.make_plan, what), "", 0)


@tool("get_plan", "Show a plan", Toolset.READ, "plan.show")
async def get_plan(call: Call, request: GetPlan) -> PlanShown:
    """Show a plan that was made before, or more of one that was too long to be shown whole."""
    found = await call.ask(plans.show_plan, plans.ShowPlan(digest=request.plan_digest))
    return _shown(call.fence, found, request.step, request.from_step)


def _shown(fence: Fence, plan: PlanAnswer, step: str, begin: int) -> PlanShown:
    every = [each for each in _all(plan.steps, plan.finally_steps) if inside(each.path, step)]
    shown = every[begin : begin + MOST_STEPS]
    left = len(every) - begin - len(shown)
    return PlanShown(
        plan_digest=plan.digest,
        workflow_name=plan.blueprint,
        version=plan.version,
        title=plan.name,
        made_at=plan.made_at,
        targets=plan.targets[:MOST_HOSTS],
        targets_omitted=max(0, len(plan.targets) - MOST_HOSTS),
        parameters=plan.parameters,
        changes_anything=plan.changes_anything,
        step_runs=plan.step_runs,
        steps=[_row(fence, each) for each in shown],
        steps_omitted=max(0, left),
        on_failure=plan.on_failure,
        approvals=[_asked(each) for each in plan.approvals],
        notes=_notes(fence, plan),
        policy=[RulingRow(decision=each.decision, rules=each.rules, steps=each.steps[:50]) for each in plan.policy],
        secrets=plan.secrets[:100],
        summary=_summary(plan),
        how_to_go_on=(
            f"get_plan(plan_digest, from_step={begin + len(shown)}) shows the next steps"
            if left > 0
            else "execute_workflow(plan_digest=...) starts exactly this plan"
        ),
    )


def _all(*levels: Sequence[PlanStepAnswer]) -> Iterator[PlanStepAnswer]:
    for steps in levels:
        for each in steps:
            yield each
            yield from _all(each.refresh_steps, each.steps, each.finally_steps, each.analysis_steps)


def _row(fence: Fence, step: PlanStepAnswer) -> PlanStepRow:
    hosts = [host for wave in step.waves for host in wave.hosts]
    asked = [wave.gate for wave in step.waves if wave.gate]
    asked += [_asked(each) for each in step.approvals]
    asked += [f"batch {wave.number + 1}: {_asked(wave.approval)}" for wave in step.waves if wave.approval is not None]
    previews = [
        fence(each.host, [change.model_dump() for change in each.changes] or each.note, 1000, "get_plan with this step")
        for each in step.previews[:MOST_HOSTS]
    ]
    return PlanStepRow(
        path=step.path,
        runs=step.type or step.kind,
        effect=step.effect,
        hosts=hosts[:MOST_HOSTS],
        hosts_omitted=max(0, len(hosts) - MOST_HOSTS),
        waves=len(step.waves),
        approvals=asked or ([step.name] if step.type == "gate.pause" else []),
        when=cut(step.when, 500),
        destructive=step.destructive,
        irreversible=step.irreversible,
        undo=step.undo,
        previews=[each for each in previews if each],
    )


def _asked(asked: AskedAnswer) -> str:
    whom = " or ".join(asked.of) or "whoever may decide"
    about = f": {clean(asked.description)}" if asked.description else ""
    return cut(f"{asked.required} of {whom} ({asked.source}){about}", 500)


def _notes(fence: Fence, plan: PlanAnswer) -> list[str]:
    found = [
        f"{each.step or 'the plan'}: {fence(each.host, each.message, 1000) if each.host else each.message}"
        for each in plan.notes[:MOST_NOTES]
    ]
    left = len(plan.notes) - MOST_NOTES
    return [*found, *([f"{left} more remarks: `pilotage plan {plan.digest}` shows them"] if left > 0 else [])]


def _summary(plan: PlanAnswer) -> str:
    does = "changes hosts" if plan.changes_anything else "only reads"
    asks = sorted({each.decision for each in plan.policy} - {"allow"})
    policy = f"; the policy says {', '.join(asks)} to some steps" if asks else ""
    return f"{plan.name}: {plan.step_runs} step runs on {len(plan.targets)} hosts; it {does}{policy}"
