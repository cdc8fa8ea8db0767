"""Tools for who writes blueprints."""

from typing import Annotated

from pydantic import Field

from pilotage_coordinator.mcp.tool import Call, tool
from pilotage_coordinator.mcp.tools.arguments import Targets, Workflow
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.mcp.untrusted import cut
from pilotage_coordinator.service import blueprints, compliance
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


class ValidateCompliance(Request):
    """Which stored blueprint to check."""

    workflow_name: Workflow
    targets: Targets = ""


class RuleFinding(Answer):
    """What one rule of compliance says, with what was looked at (untrusted output)."""

    finding: str


class Compliance(Answer):
    """What the rules of compliance say of a blueprint: passed, warned, blocked, or unknown with a fault."""

    workflow_name: str
    version: str
    outcome: str
    hosts: str
    fault: str
    rules: int
    findings: list[RuleFinding]


@tool("validate_workflow_compliance", "Check compliance", Toolset.AUTHOR, "compliance.check", idempotent=True)
async def validate_workflow_compliance(call: Call, request: ValidateCompliance) -> Compliance:
    """Check a stored blueprint against the rules of compliance, with what was looked at; the check is recorded."""
    found = await call.ask(
        compliance.check_compliance,
        compliance.CheckCompliance(blueprint=request.workflow_name, limit_to=request.targets),
    )
    check = found.blueprints[0]
    return Compliance(
        workflow_name=check.blueprint,
        version=check.version,
        outcome=check.outcome,
        hosts=check.hosts,
        fault=call.fence("", check.fault, 1000),
        rules=found.rules,
        findings=[RuleFinding(finding=call.fence("", each.model_dump(mode="json"), 1500)) for each in check.findings],
    )
