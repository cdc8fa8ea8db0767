"""Tools that start executions, and steer one's own."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import OfExecution, Reason, Step, Targets, Workflow
from pilotage_coordinator.mcp.tools.names import refuse_other_names
from pilotage_coordinator.mcp.tools.plans import Parameters
from pilotage_coordinator.mcp.tools.status import Brief, Status, brief, status
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.service import control, executions
from pilotage_coordinator.service.plans import WhatToRun
from pilotage_coordinator.service.wire import Digest, Request


class ExecuteWorkflow(Request):
    """What to start: a plan that was made before, or a blueprint that is planned and started in one go."""

    plan_digest: Annotated[
        Digest | None, Field(description="Starts exactly this plan, as plan_workflow told it. Better than a name.")
    ] = None
    workflow_name: Annotated[Workflow | None, Field(description="Instead of a plan: plan this now, and start it.")] = (
        None
    )
    parameters: Parameters = Field(default_factory=dict)
    targets: Targets = ""
    reason: Reason = ""
    created_by: Annotated[
        str, StringConstraints(max_length=253), Field(description="You, or a role that you hold; nobody else.")
    ] = ""
    idempotency_key: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=200),
        Field(description="The same key again within a day answers the first execution instead of starting another."),
    ] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "ExecuteWorkflow":
        if (self.plan_digest is None) == (self.workflow_name is None):
            raise ValueError("give exactly one of plan_digest and workflow_name")
        if self.plan_digest is not None and (self.parameters or self.targets):
            raise ValueError("a plan has its parameters and targets already: make another one with plan_workflow")
        return self


class Started(Status):
    """An execution that was started; `repeated`: an earlier call with this key did it."""

    repeated: bool


class Steer(OfExecution):
    """Which execution, and why."""

    reason: Reason = ""


class RetryWorkflow(OfExecution):
    """What to run again."""

    from_step: Annotated[
        Step | None, Field(description="This step and all that depends on it, also what succeeded; else what failed.")
    ] = None


@tool("execute_workflow", "Start a run", Toolset.RUN, "run.start", "run.show", destructive=True, open_world=True)
async def execute_workflow(call: Call, request: ExecuteWorkflow) -> Started:
    """Start an execution: of a plan by its digest (preferred), or of a blueprint that is planned now.

    What rules or the blueprint say that a person must approve waits for that person: the answer's `waiting` says for
    what, and with which command they decide. You cannot approve it. Give an idempotency_key, so that a repeated call
    starts nothing twice.
    """
    refuse_other_names(call, "created_by", request.created_by)
    what = None
    if request.workflow_name is not None:
        what = WhatToRun(blueprint=request.workflow_name, parameters=request.parameters, limit_to=request.targets)
    started = await call.ask(
        executions.start_run,
        executions.StartRun(
            plan_digest=request.plan_digest,
            what=what,
            reason=request.reason,
            idempotency_key=request.idempotency_key,
        ),
    )
    run = await call.ask(executions.show_run, executions.ShowRun(execution=started.execution))
    return Started(**status(call.fence, run).model_dump(), repeated=started.repeated)


@tool("pause_workflow", "Pause a run", Toolset.RUN, "run.pause", idempotent=True)
async def pause_workflow(call: Call, request: Steer) -> Brief:
    """Start nothing new in an execution that you requested; what runs goes on to its end."""
    return brief(await call.ask(control.pause_run, _asked(request)))


@tool("resume_workflow", "Go on after a pause", Toolset.RUN, "run.resume", open_world=True)
async def resume_workflow(call: Call, request: Steer) -> Brief:
    """Go on with a paused execution that you requested."""
    return brief(await call.ask(control.resume_run, _asked(request)))


@tool("cancel_workflow", "Cancel a run", Toolset.RUN, "run.cancel", destructive=True, idempotent=True, open_world=True)
async def cancel_workflow(call: Call, request: Steer) -> Brief:
    """Stop an execution that you requested: what runs is stopped, nothing new starts, `finally` steps still run."""
    return brief(await call.ask(control.cancel_run, _asked(request)))


@tool("retry_workflow", "Run again what failed", Toolset.RUN, "run.retry", destructive=True, open_world=True)
async def retry_workflow(call: Call, request: RetryWorkflow) -> Brief:
    """Run again what failed, was cancelled or not run in an execution that you requested; what succeeded stays.

    Find out first why it failed (explain_execution): the same again usually fails again.
    """
    asked = control.RetryRun(execution=request.execution_id, from_step=request.from_step)
    return brief(await call.ask(control.retry_run, asked))


def _asked(request: Steer) -> control.ControlRun:
    return control.ControlRun(execution=request.execution_id, reason=request.reason)
