"""Tools that look at blueprints."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, JsonValue

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Paged, Words, Workflow
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import cut
from pilotage_coordinator.service import blueprints
from pilotage_coordinator.service.blueprints import BlueprintSummary, StepOutline
from pilotage_coordinator.service.wire import Answer, Request

MOST_LINES = 400
"""Lines of a blueprint's source in one answer."""
MOST_STEPS = 200


class ListWorkflows(Paged):
    """Which blueprints to list."""

    search: Annotated[Words, Field(description="Only those whose id, name or description has this text.")] = ""


class WorkflowDetails(Request):
    """Which blueprint to show."""

    workflow_name: Workflow
    source_from_line: Annotated[
        int, Field(ge=0, description=f"From 1: also show {MOST_LINES} lines of its YAML from there; 0: none of it.")
    ] = 0


class WorkflowRow(Answer):
    """A blueprint in a list."""

    workflow_name: str
    version: str
    title: str
    description: str


class Workflows(Answer):
    """Blueprints; `next` is empty at the end."""

    items: list[WorkflowRow]
    next: str


class ParameterRow(Answer):
    """A parameter that a blueprint asks for."""

    name: str
    type: str
    required: bool
    default: JsonValue
    description: str
    choices: list[JsonValue]
    sensitive: bool


class StepRow(Answer):
    """A step, by its path in the graph."""

    path: str
    title: str
    runs: str
    """A step type, the blueprint that it calls, or `group`."""
    after: list[str]


class WorkflowShown(Answer):
    """One blueprint."""

    workflow_name: str
    version: str
    versions: list[str]
    title: str
    description: str
    category: str
    tags: list[str]
    owner: str
    documentation: str
    parameters: list[ParameterRow]
    steps: list[StepRow]
    finally_steps: list[StepRow]
    steps_omitted: int
    source: str
    source_next_line: int
    """Where the source goes on; 0 at its end, or where none was asked for."""
    how_to_go_on: str


@tool("list_workflows", "List blueprints", Toolset.READ, "blueprint.list")
async def list_workflows(call: Call, request: ListWorkflows) -> Workflows:
    """List the blueprints (workflow templates) that can be planned and run here, with what each is for."""
    if not request.search:
        page = await call.ask(
            blueprints.list_blueprints, blueprints.ListBlueprints(cursor=request.cursor, limit=request.limit)
        )
        return Workflows(items=[_row(each) for each in page.items], next=page.next)
    wanted, cursor = request.search.casefold(), request.cursor
    found: list[WorkflowRow] = []
    while True:
        page = await call.ask(blueprints.list_blueprints, blueprints.ListBlueprints(cursor=cursor, limit=1000))
        for each in page.items:
            if wanted in f"{each.id}\n{each.name}\n{each.description}".casefold():
                found.append(_row(each))
                if len(found) == request.limit:
                    return Workflows(items=found, next=each.id)
        cursor = page.next
        if not cursor:
            return Workflows(items=found, next="")


@tool("get_workflow_details", "Show a blueprint", Toolset.READ, "blueprint.show")
async def get_workflow_details(call: Call, request: WorkflowDetails) -> WorkflowShown:
    """Show one blueprint: its parameters with types, defaults and choices, its steps in order, its documentation.

    Read this before plan_workflow: parameters that are required and have no default must be given.
    """
    shown = await call.ask(blueprints.show_blueprint, blueprints.ShowBlueprint(blueprint=request.workflow_name))
    source, following = _part(shown.source, request.source_from_line)
    steps, finally_steps = _rows(shown.steps), _rows(shown.finally_steps)
    return WorkflowShown(
        workflow_name=shown.id,
        version=shown.version,
        versions=shown.versions[:20],
        title=shown.name,
        description=shown.description,
        category=shown.category,
        tags=shown.tags,
        owner=shown.owner,
        documentation=cut(shown.documentation, rest="the source has all of it"),
        parameters=[ParameterRow.model_validate(_parameter(each)) for each in shown.parameters],
        steps=steps[:MOST_STEPS],
        finally_steps=finally_steps[:MOST_STEPS],
        steps_omitted=max(0, len(steps) - MOST_STEPS) + max(0, len(finally_steps) - MOST_STEPS),
        source=source,
        source_next_line=following,
        how_to_go_on=f"plan_workflow(workflow_name={shown.id!r}, parameters={{...}}) shows what it would do",
    )


def _row(each: BlueprintSummary) -> WorkflowRow:
    return WorkflowRow(
        workflow_name=each.id, version=each.version, title=each.name, description=cut(each.description, 500)
    )


def _parameter(each: blueprints.ParameterAnswer) -> dict[str, Any]:
    rest = "blueprint source"
    return {
        "name": each.name,
        "type": each.type,
        "required": each.required,
        "default": each.default,
        "description": cut(each.description, 1000, rest),
        "choices": each.choices[:100],
        "sensitive": each.sensitive,
    }


def _rows(steps: Sequence[StepOutline], above: str = "") -> list[StepRow]:
    found: list[StepRow] = []
    for each in steps:
        path = f"{above}/{each.id}".removeprefix("/")
        found.append(
            StepRow(path=path, title=each.name, runs=each.type or each.calls or each.kind, after=each.dependencies)
        )
        found += _rows(each.steps, path)
    return found


def _part(source: str, begin: int) -> tuple[str, int]:
    """Return some lines of a source, and the number of the line after them."""
    if not begin:
        return "", 0
    lines = source.splitlines()
    end = begin - 1 + MOST_LINES
    return "\n".join(lines[begin - 1 : end]), end + 1 if end < len(lines) else 0
