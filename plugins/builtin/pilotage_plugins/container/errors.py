"""What an engine's refusals mean to us: its HTTP status says little, so its words count too."""

import re
from typing import Final

from pilotage_plugin_api import InfrastructureFailed, Refused, StepError, StepFailed, TargetFailed

_NO_SPACE: Final = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NO_IMAGE: Final = re.compile(
    r"manifest unknown|manifest for .* not found|repository .* not found|name unknown|no such image"
    r"|repository does not exist|invalid reference format",
    re.IGNORECASE,
)
_DENIED: Final = re.compile(r"pull access denied|unauthorized|authentication required|denied:", re.IGNORECASE)
_REGISTRY: Final = re.compile(
    r"connection refused|connection reset|no such host|i/o timeout|TLS handshake|network is unreachable"
    r"|no route to host|unexpected EOF|\bEOF$|HTTP response to HTTPS client|temporary failure|context deadline exceeded"
    r"|received unexpected HTTP status: 5\d\d|Service Unavailable|Client\.Timeout exceeded|toomanyrequests",
    re.IGNORECASE,
)
_ARCHITECTURE: Final = re.compile(r"no matching manifest for|exec format error|does not match the .*platform", re.I)
_PORT_TAKEN: Final = re.compile(r"port is already allocated|address already in use", re.IGNORECASE)
_NO_PROGRAM: Final = re.compile(r"executable file not found|no such file or directory: unknown", re.IGNORECASE)

NO_CONNECTION: Final = 900
"""What aiodocker gives as the status when the engine's socket does not answer."""


def failure(status: int, message: str, doing: str) -> StepError:
    """Return the error for a request that the engine refused: what we were doing, why it failed, and the fix."""
    said = " ".join(message.split())[:1500]
    if status == NO_CONNECTION:
        return InfrastructureFailed(f"{doing}: the Docker Engine went away. It said: {said}")
    if known := failure_in_words(said, doing):
        return known
    if status == 404:
        return TargetFailed(f"{doing}: it is not there. The engine said: {said}")
    if status == 400:
        return Refused(f"{doing}: the engine refused the request: {said}")
    return StepFailed(f"{doing}: the engine answered {status}: {said}")


def failure_in_words(said: str, doing: str) -> StepError | None:
    """Return the error that an engine's words mean by themselves, None when they say nothing that we know."""
    if _NO_SPACE.search(said):
        return InfrastructureFailed(
            f"{doing}: the disk of the Docker Engine is full. Free some space (docker system df). It said: {said}"
        )
    if _ARCHITECTURE.search(said):
        return TargetFailed(f"{doing}: the image is made for another kind of machine. The engine said: {said}")
    if _NO_IMAGE.search(said):
        return Refused(f"{doing}: there is no such image. Check its name, tag or digest. The engine said: {said}")
    if _REGISTRY.search(said):
        return InfrastructureFailed(f"{doing}: the registry cannot be reached. The engine said: {said}")
    if _DENIED.search(said):
        return TargetFailed(
            f"{doing}: the registry does not let us in, or there is no such image. Give `auth`. The engine said: {said}"
        )
    if _PORT_TAKEN.search(said):
        return TargetFailed(f"{doing}: a port is taken by another program. The engine said: {said}")
    if _NO_PROGRAM.search(said):
        return Refused(f"{doing}: the image does not hold the program to run. The engine said: {said}")
    return None
