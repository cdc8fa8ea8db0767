"""A typed async client of a Pilotage coordinator, over its unix socket or HTTPS.

The names below are loaded when they are first used: whoever only asks where the socket is needs no HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilotage_client.client import PilotageClient
    from pilotage_client.errors import ClientError, CoordinatorUnreachable, Denied, Problem, RequestRefused
    from pilotage_client.place import socket_path
    from pilotage_client.workflows import (
        BackupOrchestrationWorkflow,
        DisasterRecoveryWorkflow,
        EnvironmentProvisioningWorkflow,
        SafeUpgradeWorkflow,
        Workflow,
    )

__all__ = [
    "BackupOrchestrationWorkflow",
    "ClientError",
    "CoordinatorUnreachable",
    "Denied",
    "DisasterRecoveryWorkflow",
    "EnvironmentProvisioningWorkflow",
    "PilotageClient",
    "Problem",
    "RequestRefused",
    "SafeUpgradeWorkflow",
    "Workflow",
    "socket_path",
]

_HOMES = {
    "PilotageClient": "pilotage_client.client",
    "socket_path": "pilotage_client.place",
    **dict.fromkeys((name for name in __all__ if name.endswith("Workflow")), "pilotage_client.workflows"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "pilotage_client.errors")), name)
