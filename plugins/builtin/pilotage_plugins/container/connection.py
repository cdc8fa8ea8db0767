"""Finding the engine's socket, and opening it for the length of one call."""

import asyncio
import contextlib
import importlib
import os
import pwd
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pilotage_plugin_api import Availability, InfrastructureFailed, StepContext, StepError, StepParams, TargetFailed
from pydantic import Field

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

DEFAULT_ADDRESS: Final = "unix:///var/run/docker.sock"
ANSWER_SECONDS: Final = 10.0
"""How long a step waits for the engine to say that it is there, which costs it nothing."""

AVAILABLE_SECONDS: Final = 4.0
"""The same where somebody only asks whether it is there; an agent gives them five seconds in all."""

_SCHEME: Final = "unix://"


class EngineParams(StepParams):
    """What every step type of this plugin takes."""

    engine: str | None = Field(
        None,
        pattern=r"^unix:///[^\x00]+$",
        max_length=120,
        description="The engine's socket (the host's variable docker_host, else the agent's environment variable"
        " DOCKER_HOST, else unix:///var/run/docker.sock)",
    )


@asynccontextmanager
async def open_engine(ctx: StepContext, params: EngineParams) -> AsyncIterator["Engine"]:
    """Connect to the engine of this host; raises TargetFailed or InfrastructureFailed that say what to do."""
    path = socket_of(params.engine, ctx)
    await reach(path, ANSWER_SECONDS)
    # aiohttp costs 15 MiB and a third of a second: the zygote and the workers of other step types do without it.
    module = importlib.import_module("pilotage_plugins.container.engine")
    async with module.connected(_SCHEME + path) as engine:
        yield engine


async def engine_available(ctx: StepContext) -> Availability:
    """Say whether the engine of this host answers."""
    try:
        await reach(socket_of(None, ctx), AVAILABLE_SECONDS)
    except StepError as error:
        return Availability(available=False, reason=str(error))
    return Availability(available=True)


def socket_of(asked: str | None, ctx: StepContext) -> str:
    """Return the path of the socket; raises TargetFailed when the host's setting names no local socket."""
    variables = ctx.facts.get("vars")
    variable = variables.get("docker_host") if isinstance(variables, Mapping) else None
    address = asked or variable or os.environ.get("DOCKER_HOST") or DEFAULT_ADDRESS
    if not isinstance(address, str) or not address.startswith(f"{_SCHEME}/"):
        raise TargetFailed(
            f"the Docker Engine's address {address!r} is no local socket: write unix:///PATH"
            " (a host's steps work on the engine of that host)"
        )
    return address.removeprefix(_SCHEME)


async def docker_environment(socket: str) -> dict[str, str]:
    """Return what the docker program needs to know: the engine, and where its plugins and its settings lie.

    The engine is always named, so that no context of the user's can lead to another host's.
    """
    known = {"DOCKER_HOST": f"{_SCHEME}{socket}"}
    if folder := os.environ.get("DOCKER_CONFIG"):
        known["DOCKER_CONFIG"] = folder
    with contextlib.suppress(KeyError):
        known["HOME"] = (await asyncio.to_thread(pwd.getpwuid, os.geteuid())).pw_dir
    return known


async def reach(path: str, seconds: float = ANSWER_SECONDS) -> None:
    """Ask at the socket whether an engine is there, for so long; raises the StepError that explains the silence."""
    try:
        async with asyncio.timeout(seconds):
            answer = await _ping(path)
    except FileNotFoundError:
        raise TargetFailed(
            f"there is no Docker socket at {path}: install Docker Engine, or set the host's variable docker_host"
        ) from None
    except PermissionError:
        raise TargetFailed(
            f"the agent may not use the Docker socket {path}: add its user to the socket's group"
        ) from None
    except TimeoutError as error:
        raise InfrastructureFailed(
            f"the Docker Engine at {path} takes connections and has not answered for {seconds:g} s: it stands"
            " still, or is overloaded. systemctl status docker"
        ) from error
    except OSError as error:
        raise InfrastructureFailed(
            f"nothing answers at the Docker socket {path} ({error.strerror}): is the engine running?"
            " systemctl status docker"
        ) from error
    if not answer.startswith(b"HTTP/1.") or answer[8:12] != b" 200":
        raise InfrastructureFailed(
            f"the engine at {path} is not well: asked for a sign of life, it said {answer[:80].strip()!a}."
            " systemctl status docker"
        )


async def _ping(path: str) -> bytes:
    """Return the first line of the engine's answer; OSError passes.

    A socket takes connections also when whoever listens stands still, so connecting is no proof.
    """
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()
