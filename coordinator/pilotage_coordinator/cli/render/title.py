"""What a plan or an execution is of, in a few words."""

from pilotage_client.answers import ExecutionSummary, Plan

COMMAND = "command@0.0.0"
"""What `exec` makes of a command."""


def title(shown: ExecutionSummary | Plan) -> str:
    """Return `ID@VERSION` of the blueprint; of a command that was given to `exec`, its words after a `$`."""
    blueprint = f"{shown['blueprint']}@{shown['version']}"
    return f"$ {shown['name']}" if blueprint == COMMAND and shown["name"] else blueprint
