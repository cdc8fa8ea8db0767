"""Every tool in one table, for the server, the documentation and the tests to walk."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pilotage_coordinator.mcp.tool import Tool
from pilotage_coordinator.mcp.tools import (
    administration,
    authoring,
    blueprints,
    executions,
    explaining,
    hosts,
    plans,
    steering,
)

_ROWS: Final = (
    blueprints.list_workflows,
    blueprints.get_workflow_details,
    executions.list_workflow_executions,
    executions.get_workflow_status,
    executions.wait_workflow,
    explaining.explain_execution,
    executions.get_step_logs,
    executions.get_workflow_history,
    executions.get_workflow_metrics,
    plans.get_plan,
    hosts.list_hosts,
    hosts.get_host,
    hosts.search_fleet,
    administration.search_events,
    plans.plan_workflow,
    steering.execute_workflow,
    steering.pause_workflow,
    steering.resume_workflow,
    steering.cancel_workflow,
    steering.retry_workflow,
    authoring.validate_blueprint,
    administration.examine_coordinator,
)

TOOLS: Final[Mapping[str, Tool]] = MappingProxyType({each.name: each for each in _ROWS})
