"""`container.create`: a container as a step describes it, made, started, and told apart by labels."""

from typing import Annotated, Any, Literal

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Duration,
    Effect,
    Preview,
    ProbeAnswer,
    Size,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)
from pydantic import AfterValidator, Field

from pilotage_plugins.container.configuration import LABEL_PREFIX
from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.image import ImageReference, PullPolicy, RegistryLogin, StallParams, ensure_image
from pilotage_plugins.container.naming import ContainerName, ObjectName
from pilotage_plugins.container.port import PORT_PATTERN, bindings, check_port
from pilotage_plugins.container.swap import ATTEMPT, remove_if_made_by

STEP_RUN = f"{LABEL_PREFIX}step_run"

Mount = Annotated[str, Field(pattern=r"^[^:\x00]+:/[^:\x00]*(:(ro|rw))?$", max_length=4000)]


def _not_ours(labels: dict[str, str]) -> dict[str, str]:
    for name in labels:
        if name.startswith(LABEL_PREFIX):
            raise ValueError(f"labels that begin with {LABEL_PREFIX} are Pilotage's own")
    return labels


class DockerCheck(StepParams):
    """A health check that Docker does itself, inside the container."""

    command: tuple[str, ...] = Field(min_length=1, description="Ends with 0 when all is well; no shell reads it")
    interval: Duration | None = None
    timeout: Duration | None = None
    start_period: Duration | None = None
    retries: int | None = Field(None, ge=1, le=1000)


class CreateParams(StallParams, EngineParams):
    """The container as it should be."""

    name: ContainerName
    image: ImageReference
    pull: PullPolicy = Field(PullPolicy.MISSING, description="When to ask the registry")
    auth: RegistryLogin | None = None
    command: tuple[str, ...] | None = Field(None, description="Arguments instead of the image's")
    entrypoint: tuple[str, ...] | None = Field(None, description="Program instead of the image's")
    env: dict[str, str] = Field(default_factory=dict, description="No secrets: everybody with Docker sees them")
    ports: tuple[Annotated[str, Field(pattern=PORT_PATTERN), AfterValidator(check_port)], ...] = Field(
        (), max_length=100, description="[ADDRESS:]HOST_PORT:PORT[/udp], as docker -p"
    )
    mounts: tuple[Mount, ...] = Field((), max_length=100, description="VOLUME:/path or /folder:/path, with :ro")
    networks: dict[ObjectName, tuple[str, ...]] = Field(
        default_factory=dict, max_length=50, description="Networks, each with the container's aliases in it"
    )
    labels: Annotated[dict[str, str], AfterValidator(_not_ours)] = Field(default_factory=dict)
    restart: Literal["no", "always", "unless-stopped", "on-failure"] = "no"
    health: DockerCheck | None = Field(None, description="Docker's health check instead of the image's")
    user: str | None = Field(None, max_length=255)
    hostname: str | None = Field(None, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.-]*$", max_length=63)
    memory: Size | None = None
    cpus: float | None = Field(None, gt=0, le=4096)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    start: bool = True


class CreateOutputs(StepOutputs):
    """The container."""

    name: str
    id: str
    image: str
    started: bool


class ContainerCreate(StepType[CreateParams, CreateOutputs]):
    """Make a container and start it. A name that is taken is refused, unless this same step run made it before.

    Undo removes it with its anonymous volumes. To change the image of one that is there, use container.upgrade.
    """

    name = "container.create"
    effect = Effect.PROBE
    Params = CreateParams
    Outputs = CreateOutputs

    async def preview(self, ctx: StepContext, params: CreateParams) -> Preview:
        """Say what would be made."""
        async with open_engine(ctx, params) as engine:
            if found := await engine.find(params.name):
                raise TargetFailed(_taken(params.name, found))
        return Preview(changes=(Change(action=Action.CREATE, subject=params.name, after=params.image),))

    async def run(self, ctx: StepContext, params: CreateParams) -> CreateOutputs:
        """Make it."""
        async with open_engine(ctx, params) as engine:
            found = await engine.find(params.name)
            if found and _label(found, STEP_RUN) != ctx.step_run:
                raise TargetFailed(_taken(params.name, found))
            if found:
                # Cut off between creation and start: what that attempt made may lack a network.
                await engine.remove(found["Id"], force=True, volumes=True)
            image = await ensure_image(ctx, engine, params.image, params.pull, params.auth, params.stall_wait)
            reference = params.image if image.ref.startswith("sha256:") else image.ref
            labels = {ATTEMPT: ctx.attempt_key, STEP_RUN: ctx.step_run}
            try:
                made = await engine.create(params.name, body_of(params, reference, labels))
                for network, endpoint in list(_endpoints(params).items())[1:]:
                    await engine.connect(network, made, endpoint)
                if params.start:
                    await engine.start(made)
            except BaseException:
                await remove_if_made_by(engine, params.name, ctx.attempt_key)
                raise
        return CreateOutputs(name=params.name, id=made, image=reference, started=params.start)

    async def undo(self, ctx: StepContext, params: CreateParams, outputs: CreateOutputs) -> None:
        """Remove it."""
        async with open_engine(ctx, params) as engine:
            await engine.remove(outputs.id, force=True, volumes=True)

    async def probe(self, ctx: StepContext, params: CreateParams, key: str) -> ProbeAnswer[CreateOutputs]:
        """Look for the container that the attempt made."""
        async with open_engine(ctx, params) as engine:
            found = await engine.find(params.name)
        if found is None or _label(found, ATTEMPT) != key:
            return ProbeAnswer.not_done(f"no container {params.name} of this attempt is there")
        if params.start and found["State"]["Status"] == "created":
            return ProbeAnswer.not_done(f"{params.name} was made but never started: the next attempt makes it anew")
        outputs = CreateOutputs(name=params.name, id=found["Id"], image=found["Config"]["Image"], started=params.start)
        return ProbeAnswer.done(outputs, f"{params.name} carries the attempt's label")

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


def body_of(params: CreateParams, image: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return the body of the request that creates the container."""
    exposed, published = bindings(params.ports)
    host: dict[str, Any] = {
        "PortBindings": published,
        "Binds": list(params.mounts),
        "RestartPolicy": {"Name": params.restart},
        "Memory": params.memory or 0,
        "NanoCpus": round((params.cpus or 0) * 1e9),
        "CapAdd": list(params.cap_add),
        "CapDrop": list(params.cap_drop),
        "ReadonlyRootfs": params.read_only,
    }
    body: dict[str, Any] = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in params.env.items()],
        "Labels": {**params.labels, **labels},
        "ExposedPorts": exposed,
        "HostConfig": host,
    }
    if endpoints := _endpoints(params):
        first = next(iter(endpoints))
        host["NetworkMode"] = first
        body["NetworkingConfig"] = {"EndpointsConfig": {first: endpoints[first]}}
    optional = {
        "Cmd": None if params.command is None else list(params.command),
        "Entrypoint": None if params.entrypoint is None else list(params.entrypoint),
        "User": params.user,
        "Hostname": params.hostname,
        "Healthcheck": None if params.health is None else _healthcheck(params.health),
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _endpoints(params: CreateParams) -> dict[str, dict[str, Any]]:
    return {network: {"Aliases": list(aliases)} for network, aliases in params.networks.items()}


def _healthcheck(check: DockerCheck) -> dict[str, Any]:
    times = {"Interval": check.interval, "Timeout": check.timeout, "StartPeriod": check.start_period}
    body: dict[str, Any] = {"Test": ["CMD", *check.command]}
    body |= {name: round(time.total_seconds() * 1e9) for name, time in times.items() if time is not None}
    return body | ({"Retries": check.retries} if check.retries else {})


def _label(found: dict[str, Any], name: str) -> str | None:
    value = (found["Config"].get("Labels") or {}).get(name)
    return None if value is None else str(value)


def _taken(name: str, found: dict[str, Any]) -> str:
    return (
        f"there is a container {name} already ({found['Id'][:12]}, {found['Config']['Image']}): choose another name,"
        " remove it, or use container.upgrade to change its image"
    )
