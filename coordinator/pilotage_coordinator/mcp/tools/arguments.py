"""Arguments that tools share, in the words that models read in their schemas."""

from typing import Annotated

from pydantic import Field, StringConstraints

from pilotage_coordinator.mcp.tool import LARGEST_PAGE
from pilotage_coordinator.service.wire import ExecutionId, Request

Workflow = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    Field(description="A blueprint's id, such as quick_backup; id@1 or id@1.2.0 for a version of it."),
]
Execution = Annotated[ExecutionId, Field(description="An execution's id: exe_ and 32 hexadecimal digits.")]
Step = Annotated[
    str, StringConstraints(max_length=1000), Field(description="A step's path or id; of a group, all inside it.")
]
Host = Annotated[str, StringConstraints(max_length=253), Field(description="A host's name, as list_hosts has it.")]
Targets = Annotated[
    str,
    StringConstraints(max_length=4096),
    Field(description="A selector of hosts, such as role=db or name=web1|web2. It narrows the blueprint's own."),
]
Reason = Annotated[str, StringConstraints(max_length=2000), Field(description="Why; it is kept in the history.")]
Words = Annotated[str, StringConstraints(max_length=200)]


class Paged(Request):
    """A part of a list."""

    cursor: Annotated[
        str, StringConstraints(max_length=500), Field(description="The `next` of the part before; empty: the first.")
    ] = ""
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE, description="Rows in this part.")] = 50


class OfExecution(Request):
    """Names an execution."""

    execution_id: Execution
