"""Tools for who writes blueprints."""

from typing import Annotated

from pydantic import Field

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import cut
from pilotage_coordinator.service import blueprints
from pilotage_coordinator.service.wire import Answer, Request


class ValidateBlueprint(Request):
    """What to check."""

    source: Annotated[blueprints.Source, Field(description="The YAML text of a blueprint file.")]
    expanded: Annotated[bool, Field(description="Also show each blueprint's normalised form.")] = False


class ValidRow(Answer):
    """A blueprint that holds."""

    workflow_name: str
    version: str
    title: str
    steps: int
    expanded: str


class Valid(Answer):
    """Every blueprint of the text. Nothing was stored."""

    items: list[ValidRow]
    how_to_go_on: str


@tool("validate_blueprint", "Check a blueprint", Toolset.AUTHOR, "blueprint.validate")
async def validate_blueprint(call: Call, request: ValidateBlueprint) -> Valid:
    """Check the YAML of a blueprint against the language and the step types known here; store nothing.

    A text that does not hold is answered with every problem, its line and column, and the cure.
    """
    found = await call.ask(
        blueprints.validate_blueprint, blueprints.BlueprintFile(source=request.source, file="blueprint.yaml")
    )
    rows = [
        ValidRow(
            workflow_name=each.id,
            version=each.version,
            title=each.name,
            steps=each.steps,
            expanded=cut(each.expanded, 20_000) if request.expanded else "",
        )
        for each in found.items
    ]
    return Valid(items=rows, how_to_go_on="a person stores it: pilotage blueprint add FILE")
