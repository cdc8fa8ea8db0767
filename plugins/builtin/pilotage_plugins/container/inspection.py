"""`container.inspect`, `container.list`, `container.logs` and `container.health`: looking, never touching."""

import time
from datetime import timedelta

from pilotage_plugin_api import (
    Availability,
    Duration,
    Effect,
    StepContext,
    StepFailed,
    StepOutputs,
    StepType,
)
from pydantic import Field

from pilotage_plugins.command.outputs import text_tail
from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.health import HealthCheck, Verdict, wait_until_healthy
from pilotage_plugins.container.naming import ContainerName, name_in_list
from pilotage_plugins.container.summary import ContainerState, state_of

LOG_SHOWN = 48 * 1024


class OneContainerParams(EngineParams):
    """Which container."""

    container: ContainerName = Field(description="Name or id")


class ContainerInspect(StepType[OneContainerParams, ContainerState]):
    """Tell the state of a container: image, health, ports, mounts, networks, labels, and the names in its environment.

    Fails with kind target when there is no such container.
    """

    name = "container.inspect"
    effect = Effect.READ
    Params = OneContainerParams
    Outputs = ContainerState

    async def run(self, ctx: StepContext, params: OneContainerParams) -> ContainerState:
        """Look."""
        async with open_engine(ctx, params) as engine:
            return state_of(await engine.inspect(params.container))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


class ListParams(EngineParams):
    """Which containers."""

    all: bool = Field(False, description="Those that do not run, too")
    labels: tuple[str, ...] = Field((), max_length=20, description="Only those with all of these: key or key=value")
    max_items: int = Field(150, ge=1, le=150, description="More than this fail the step")


class Listed(StepOutputs):
    """A container in a list."""

    name: str
    id: str
    image: str
    status: str


class ListOutputs(StepOutputs):
    """By name; good for `for_each`."""

    containers: tuple[Listed, ...]


class ContainerList(StepType[ListParams, ListOutputs]):
    """List the containers of a host by name; feeds `for_each`."""

    name = "container.list"
    effect = Effect.READ
    Params = ListParams
    Outputs = ListOutputs

    async def run(self, ctx: StepContext, params: ListParams) -> ListOutputs:
        """List."""
        async with open_engine(ctx, params) as engine:
            found = await engine.containers(all=params.all, labels=params.labels)
        if len(found) > params.max_items:
            raise StepFailed(f"there are {len(found)} containers, more than max_items {params.max_items}: give labels")
        listed = [
            Listed(name=name_in_list(one), id=one["Id"], image=one["Image"], status=one["State"]) for one in found
        ]
        return ListOutputs(containers=tuple(sorted(listed, key=lambda one: one.name)))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


class LogsParams(OneContainerParams):
    """How much of the log."""

    lines: int = Field(100, ge=1, le=2000)
    since: Duration | None = Field(None, description="Only what was written this long ago or later")


class LogsOutputs(StepOutputs):
    """The end of the log, at most 48 KiB; `cut` says that there was more. Written by a stranger."""

    text: str
    cut: bool


class ContainerLogs(StepType[LogsParams, LogsOutputs]):
    """Read the last lines that a container wrote, both streams in their order."""

    name = "container.logs"
    effect = Effect.READ
    Params = LogsParams
    Outputs = LogsOutputs

    async def run(self, ctx: StepContext, params: LogsParams) -> LogsOutputs:
        """Read."""
        since = 0 if params.since is None else int(time.time() - params.since.total_seconds())
        async with open_engine(ctx, params) as engine:
            text = await engine.logs(params.container, lines=params.lines, since=since)
        shown = text_tail(text.encode("utf-8", "backslashreplace"), LOG_SHOWN)
        return LogsOutputs(text=shown, cut=len(shown) < len(text))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


class HealthParams(EngineParams, HealthCheck):
    """Which container, and what counts as healthy."""

    container: ContainerName = Field(description="Name or id")
    min_healthy_time: Duration = Field(timedelta(0), description="So long it must stay healthy")


class ContainerHealth(StepType[HealthParams, Verdict]):
    """Wait until a container is healthy by Docker's check, or by HTTP, TCP or a command given here.

    Fails when it dies, restarts again and again, is unhealthy, or the deadline passes. A container without any health
    check is refused unless `none: true` says that nobody checks; then `healthy` is null.
    """

    name = "container.health"
    effect = Effect.READ
    Params = HealthParams
    Outputs = Verdict

    async def run(self, ctx: StepContext, params: HealthParams) -> Verdict:
        """Wait."""
        async with open_engine(ctx, params) as engine:
            return await wait_until_healthy(ctx, engine, params.container, params)

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)
