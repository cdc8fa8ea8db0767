"""A typed async client of a Pilotage coordinator, over its unix socket or HTTPS."""

from pilotage_client.client import PilotageClient
from pilotage_client.errors import (
    ClientError,
    CoordinatorUnreachable,
    Denied,
    Problem,
    RequestRefused,
)
from pilotage_client.place import socket_path

__all__ = [
    "ClientError",
    "CoordinatorUnreachable",
    "Denied",
    "PilotageClient",
    "Problem",
    "RequestRefused",
    "socket_path",
]
