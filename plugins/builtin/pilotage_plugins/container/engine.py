"""The engine of one host: the requests that steps make, with their refusals as step errors.

Imported only when a step runs (see connection.open_engine).
"""

import asyncio
import base64
import functools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast
from urllib.parse import quote

import aiodocker
import aiohttp
from aiodocker.stream import Message
from pilotage_plugin_api import InfrastructureFailed, StepFailed

from pilotage_plugins.container.errors import NO_CONNECTION, failure
from pilotage_plugins.container.reference import repository_of

Json = dict[str, Any]
T = TypeVar("T")
P = ParamSpec("P")

OUTPUT_TAIL: Final = 64 * 1024

LOOK_AGAIN_SECONDS: Final = 0.1
"""How often a program is looked at that has closed its output and not ended."""


@dataclass(frozen=True, slots=True)
class Executed:
    """How a program in a container ended; the tails are the last 64 KiB of each stream."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@asynccontextmanager
async def connected(address: str) -> AsyncIterator["Engine"]:
    """Open the engine at this address. The API version is the engine's own newest; its age is its own business."""
    async with _Docker(url=address, timeout=aiohttp.ClientTimeout(total=None, sock_connect=5)) as docker:
        yield Engine(docker)


class _Docker(aiodocker.Docker):
    """The library, which leaves an answer open that is not read to its end: of a pull that was given up, say."""

    @asynccontextmanager
    async def _query(self, *args: Any, **more: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        async with super()._query(*args, **more) as response:
            try:
                yield response
            finally:
                response.close()


def _to_its_end(
    request: Callable[Concatenate["Engine", P], Awaitable[T]],
) -> Callable[Concatenate["Engine", P], Awaitable[T]]:
    """Make a change that is waited for even when the step is cancelled meanwhile.

    The engine goes on with what it was told; whoever turned away could not tell what it still will do.
    """

    @functools.wraps(request)
    async def whole(engine: "Engine", /, *args: P.args, **more: P.kwargs) -> T:
        asked = asyncio.ensure_future(request(engine, *args, **more))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await asyncio.wait({asked})
            if not asked.cancelled():
                asked.exception()
            raise

    return whole


class Engine:
    """One connection. Names may be ids wherever a container, image, network or volume is named."""

    def __init__(self, docker: aiodocker.Docker) -> None:
        self._docker = docker

    async def version(self) -> Json:
        """Return versions, operating system and architecture."""
        with _errors("asking the Docker Engine for its version"):
            return await self._docker.version()

    async def containers(self, *, all: bool = True, labels: Sequence[str] = ()) -> list[Json]:
        """List containers, as `docker ps` does."""
        filters = json.dumps({"label": list(labels)} if labels else {})
        with _errors("listing containers"):
            found = await self._docker.containers.list(all=all, filters=filters)
        return [one._container for one in found]

    async def inspect(self, name: str) -> Json:
        """Return everything about a container; raises TargetFailed when it is not there."""
        with _errors(f"looking at the container {name}"):
            return await self._docker.containers.container(name).show()

    async def find(self, name: str) -> Json | None:
        """Return everything about a container, or None."""
        with _errors(f"looking at the container {name}"):
            return await _or_none(self._docker.containers.container(name).show())

    @_to_its_end
    async def create(self, name: str, config: Json) -> str:
        """Create a container and return its id."""
        with _errors(f"creating the container {name}"):
            return (await self._docker.containers.create(config, name=name)).id

    @_to_its_end
    async def start(self, name: str) -> None:
        """Start it; nothing happens when it runs."""
        with _errors(f"starting the container {name}"):
            await self._docker.containers.container(name).start()

    async def stop(self, name: str, seconds: int | None) -> None:
        """Stop it, killing it after `seconds` (its own stop timeout, or 10); nothing happens when it does not run."""
        with _errors(f"stopping the container {name}"):
            await self._docker.containers.container(name).stop(t=seconds)

    @_to_its_end
    async def restart(self, name: str, seconds: int | None) -> None:
        """Stop it and start it."""
        with _errors(f"restarting the container {name}"):
            await self._docker.containers.container(name).restart(t=seconds)

    @_to_its_end
    async def pause(self, name: str) -> None:
        """Freeze its processes."""
        with _errors(f"pausing the container {name}"):
            await self._docker.containers.container(name).pause()

    @_to_its_end
    async def unpause(self, name: str) -> None:
        """Let its processes go on."""
        with _errors(f"unpausing the container {name}"):
            await self._docker.containers.container(name).unpause()

    @_to_its_end
    async def rename(self, name: str, new: str) -> None:
        """Give it another name."""
        with _errors(f"renaming the container {name} to {new}"):
            await self._docker.containers.container(name).rename(new)

    @_to_its_end
    async def set_restart_policy(self, name: str, policy: Mapping[str, Any]) -> None:
        """Change when the engine starts it again by itself."""
        with _errors(f"changing the restart policy of the container {name}"):
            await self._ask("POST", f"containers/{name}/update", {"RestartPolicy": dict(policy)})

    @_to_its_end
    async def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it, if it is there, with its anonymous volumes if asked."""
        with _errors(f"removing the container {name}"):
            await _or_none(self._docker.containers.container(name).delete(force=force, v=volumes))

    @_to_its_end
    async def commit(self, name: str, repository: str, tag: str, labels: Mapping[str, str], *, pause: bool) -> str:
        """Make an image of a container's file system and configuration; returns the image's id."""
        changes = [f"LABEL {key}={json.dumps(value)}" for key, value in labels.items()]
        with _errors(f"committing the container {name}"):
            made = await self._docker.containers.container(name).commit(
                repository=repository, tag=tag, changes=changes, pause=pause
            )
        return str(made["Id"])

    async def exec(
        self,
        name: str,
        argv: Sequence[str],
        on_output: Callable[[int, bytes], None],
        *,
        user: str = "",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Executed:
        """Run a program in a running container; `on_output` gets (1 or 2 for the stream, bytes) as they come."""
        tails = {1: bytearray(), 2: bytearray()}
        with _errors(f"running {argv[0]} in the container {name}"):
            started = await self._docker.containers.container(name).exec(
                list(argv), user=user, environment=env, workdir=cwd
            )
            async with started.start(detach=False) as stream:
                while message := await stream.read_out():
                    _keep(tails, message)
                    on_output(message.stream, message.data)
            ended = await started.inspect()
            while ended["Running"]:
                # It has closed its output and works on.
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                ended = await started.inspect()
        if ended["ExitCode"] is None:
            raise StepFailed(
                f"{argv[0]} in the container {name} is over, and the engine does not know how it ended:"
                " the container was perhaps stopped meanwhile"
            )
        return Executed(int(ended["ExitCode"]), bytes(tails[1]), bytes(tails[2]))

    async def logs(self, name: str, *, lines: int, since: int = 0) -> str:
        """Return the last lines that a container wrote, both streams in their order."""
        with _errors(f"reading the log of the container {name}"):
            parts = await self._docker.containers.container(name).log(stdout=True, stderr=True, tail=lines, since=since)
        return "".join(parts)

    async def image(self, reference: str) -> Json | None:
        """Return everything about a local image, or None."""
        with _errors(f"looking at the image {reference}"):
            return await _or_none(self._docker.images.inspect(reference))

    async def images(self, labels: Sequence[str]) -> list[Json]:
        """List the local images that carry these labels."""
        with _errors("listing images"):
            return await self._docker.images.list(filters={"label": list(labels)})

    async def pull(self, reference: str, auth: Mapping[str, str] | None) -> AsyncGenerator[Json, None]:
        """Pull an image by tag or digest, giving what the engine reports as it comes; close it if you stop before."""
        with _errors(f"pulling {reference}"):
            # The library's type says less than it gives: a generator, which lets its connection go when it is closed.
            pulling = cast("AsyncGenerator[Json, None]", self._docker.images.pull(reference, auth=auth, stream=True))
            async with aclosing(pulling) as reports:
                async for report in reports:
                    yield report

    async def in_registry(self, reference: str, auth: Mapping[str, str] | None) -> Json:
        """Ask the registry for an image's digest and platforms without pulling it."""
        with _errors(f"asking the registry for {reference}"):
            version = self._docker.api_version
            if version == "auto":
                version = f"v{(await self._docker.version())['ApiVersion']}"
            url = f"{self._docker.docker_host}/{version}/distribution/{reference}/json"
            # Unknown to the library: the registry's credentials as the engine wants them, RFC 4648 base64url.
            sent = base64.urlsafe_b64encode(json.dumps(auth).encode()).decode() if auth else None
            async with self._docker.session.get(url, headers={"X-Registry-Auth": sent} if sent else None) as answer:
                body = await answer.json()
                if answer.status != 200:
                    raise aiodocker.DockerError(answer.status, str(body.get("message")))
                return dict(body)

    @_to_its_end
    async def tag(self, image: str, reference: str) -> None:
        """Let `name:tag` mean this local image."""
        repository = repository_of(reference)
        tag = reference.removeprefix(repository).lstrip(":") or "latest"
        with _errors(f"naming the image {image} {reference}"):
            await self._docker.images.tag(image, repository, tag=tag)

    @_to_its_end
    async def remove_image(self, reference: str) -> None:
        """Remove a local image, if it is there and nothing uses it."""
        with _errors(f"removing the image {reference}"):
            await _or_none(self._docker.images.delete(reference))

    async def network(self, name: str) -> Json | None:
        """Return everything about a network, or None."""
        with _errors(f"looking at the network {name}"):
            return await _or_none(self._ask("GET", f"networks/{name}"))

    @_to_its_end
    async def create_network(self, config: Json) -> str:
        """Create a network and return its id."""
        with _errors(f"creating the network {config['Name']}"):
            return str((await self._ask("POST", "networks/create", config))["Id"])

    @_to_its_end
    async def remove_network(self, name: str) -> None:
        """Remove a network, if it is there."""
        with _errors(f"removing the network {name}"):
            await _or_none(self._ask("DELETE", f"networks/{name}"))

    @_to_its_end
    async def connect(self, network: str, container: str, endpoint: Mapping[str, Any]) -> None:
        """Connect a container to a network."""
        with _errors(f"connecting the container {container} to the network {network}"):
            await self._ask(
                "POST", f"networks/{network}/connect", {"Container": container, "EndpointConfig": dict(endpoint)}
            )

    @_to_its_end
    async def disconnect(self, network: str, container: str) -> None:
        """Disconnect a container from a network."""
        with _errors(f"disconnecting the container {container} from the network {network}"):
            await self._ask("POST", f"networks/{network}/disconnect", {"Container": container, "Force": False})

    async def volumes(self, labels: Sequence[str] = ()) -> list[Json]:
        """List the volumes that carry these labels."""
        filters = quote(json.dumps({"label": list(labels)} if labels else {}))
        with _errors("listing volumes"):
            return list((await self._ask("GET", f"volumes?filters={filters}"))["Volumes"] or ())

    async def volume_sizes(self) -> dict[str, int]:
        """Return the bytes in each volume that the engine can measure, by name; it looks at every file of them."""
        with _errors("measuring volumes"):
            usage = await self._ask("GET", "system/df?type=volume")
        sizes = {each["Name"]: int((each.get("UsageData") or {}).get("Size", -1)) for each in usage["Volumes"] or []}
        return {name: size for name, size in sizes.items() if size >= 0}

    async def volume(self, name: str) -> Json | None:
        """Return everything about a volume, or None."""
        with _errors(f"looking at the volume {name}"):
            return await _or_none(self._ask("GET", f"volumes/{name}"))

    @_to_its_end
    async def create_volume(self, config: Json) -> None:
        """Create a volume; nothing happens when there is one of that name."""
        with _errors(f"creating the volume {config['Name']}"):
            await self._ask("POST", "volumes/create", config)

    @_to_its_end
    async def remove_volume(self, name: str) -> None:
        """Remove a volume and what is in it, if it is there."""
        with _errors(f"removing the volume {name}"):
            await _or_none(self._ask("DELETE", f"volumes/{name}"))

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Any:
        # The library's own classes for networks and volumes are untyped and do one request each; this is the same one.
        return await self._docker._query_json(path, method=method, data=body)


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    """Turn the library's errors into step errors."""
    try:
        yield
    except aiodocker.DockerError as error:
        raise failure(error.status, error.message, doing) from error
    except aiohttp.ClientError as error:
        raise failure(NO_CONNECTION, f"{type(error).__name__}: {error}", doing) from error
    except TimeoutError as error:
        raise InfrastructureFailed(f"{doing}: the Docker Engine did not answer in time") from error


async def _or_none(asked: Awaitable[T]) -> T | None:
    """Await an answer of the library; None for what is not there."""
    try:
        return await asked
    except aiodocker.DockerError as error:
        if error.status != 404:
            raise
        return None


def _keep(tails: dict[int, bytearray], message: Message) -> None:
    tail = tails[message.stream]
    tail += message.data
    del tail[:-OUTPUT_TAIL]
