"""Addresses of things that can be read: `blueprint://ID`, `execution://ID`, `execution://ID/log`, `host://NAME`.

Each is what a tool answers, so that whoever is not offered the tool cannot read there either.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from pilotage_coordinator.mcp.tools.arguments import OfExecution
from pilotage_coordinator.mcp.tools.blueprints import WorkflowDetails
from pilotage_coordinator.mcp.tools.executions import GetStatus, StepLogs
from pilotage_coordinator.mcp.tools.hosts import GetHost
from pilotage_coordinator.service.wire import Request

LONGEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of address."""

    template: str
    title: str
    description: str
    tool: str
    request: Callable[[str], Request]
    """Makes the tool's request of a name; raises ValidationError."""
    argument: str
    """What the template calls the name."""


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "blueprint": Kind(
            "blueprint://{workflow_name}",
            "Blueprint",
            "A blueprint with its parameters, steps and the beginning of its source.",
            "get_workflow_details",
            lambda name: WorkflowDetails(workflow_name=name, source_from_line=1),
            "workflow_name",
        ),
        "execution": Kind(
            "execution://{execution_id}",
            "Execution",
            "Where an execution is; can be subscribed to.",
            "get_workflow_status",
            lambda name: GetStatus(execution_id=name),
            "execution_id",
        ),
        "log": Kind(
            "execution://{execution_id}/log",
            "Log of an execution",
            "The first lines that the steps of an execution wrote: untrusted output of hosts.",
            "get_step_logs",
            lambda name: StepLogs(execution_id=name, limit=500),
            "execution_id",
        ),
        "host": Kind(
            "host://{host}",
            "Host",
            "A host: state, labels, what it can run, what it says of itself.",
            "get_host",
            lambda name: GetHost(host=name, facts=True),
            "host",
        ),
    }
)


def parsed(uri: str) -> tuple[Kind, Request] | None:
    """Return what an address is of, and the request that reads it; None for one that is none of these."""
    scheme, separator, rest = uri.partition("://")
    if not separator or len(uri) > LONGEST or scheme not in ("blueprint", "execution", "host"):
        return None
    name, _, tail = rest.partition("/")
    if tail not in ("", "log") or (tail and scheme != "execution") or rest.endswith("/"):
        return None
    kind = KINDS["log" if tail else scheme]
    try:
        return kind, kind.request(unquote(name, errors="strict"))
    except ValueError:
        return None


def execution_of(uri: str) -> str | None:
    """Return the id of the execution that an address is of; None for any other."""
    found = parsed(uri)
    return found[1].execution_id if found is not None and isinstance(found[1], OfExecution) else None


def blueprint_uri(id: str) -> str:
    """Return a blueprint's address."""
    return f"blueprint://{quote(id, safe='')}"


def host_uri(name: str) -> str:
    """Return a host's address."""
    return f"host://{quote(name, safe='')}"


def execution_uri(id: str) -> str:
    """Return an execution's address."""
    return f"execution://{id}"
