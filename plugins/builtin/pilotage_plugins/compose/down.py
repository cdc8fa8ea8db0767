"""`compose.down`: a project's containers and networks removed, and its volumes only when asked."""

from typing import TYPE_CHECKING, Self

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Duration,
    Effect,
    Preview,
    Refused,
    StepContext,
    StepOutputs,
    StepType,
    TargetFailed,
)
from pydantic import Field, model_validator

from pilotage_plugins.command.program import AbsolutePath, environment_of
from pilotage_plugins.compose.previous import before
from pilotage_plugins.compose.program import Compose, compose_available
from pilotage_plugins.compose.project import ProjectName, Value, Variable
from pilotage_plugins.compose.record import Begun, begun_by, found, note_begin
from pilotage_plugins.compose.standing import PROJECT, Standing, must_be_here, projects, standing
from pilotage_plugins.compose.way_back import put_back
from pilotage_plugins.container.connection import EngineParams, open_engine, socket_of
from pilotage_plugins.container.seconds import whole_seconds

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


class DownParams(EngineParams):
    """Which project, and whether its data goes, too."""

    project: ProjectName | None = Field(None, description="The project's name")
    directory: AbsolutePath | None = Field(None, description="Its folder on the host, instead of its name or besides")
    volumes: bool = Field(False, description="Remove its volumes and all data in them, too: there is no way back")
    remove_orphans: bool = Field(True, description="Also containers of services that its file does not name any more")
    stop_timeout: Duration | None = Field(None, description="Until a container is killed (its own, else 10s)")
    env: dict[Variable, Value] = Field(
        default_factory=dict, description="The secrets that compose.up gave it, as there: undo needs them"
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.project is None and self.directory is None:
            raise ValueError("give project or directory")
        return self


class DownOutputs(StepOutputs):
    """What was removed. `way_back` says why undo could not bring it back; empty when it could."""

    project: str
    changed: bool
    services: tuple[str, ...]
    volumes_removed: bool
    way_back: str
    note: str


class ComposeDown(StepType[DownParams, DownOutputs]):
    """Take a Compose project down: its containers and networks, and only with `volumes: true` its volumes.

    Nothing happens when it is not there. Undo brings it up again as it was, where its configuration is known and its
    volumes were kept.
    """

    name = "compose.down"
    effect = Effect.IDEMPOTENT
    destructive = True
    Params = DownParams
    Outputs = DownOutputs

    async def preview(self, ctx: StepContext, params: DownParams) -> Preview:
        """Name what would go."""
        async with open_engine(ctx, params) as engine:
            begun = await _look(ctx, engine, params)
            volumes = await _volumes(engine, begun.project) if params.volumes else []
        gone = [f"{begun.project}/{name}" for name in begun.services] + [f"volume {name}" for name in volumes]
        if not gone:
            return Preview(changes=(Change(action=Action.NONE, subject=begun.project, note="is not there"),))
        reason = _no_way_back(params, begun)
        return Preview(
            changes=tuple(Change(action=Action.DELETE, subject=subject) for subject in gone),
            note=f"no way back: {reason}" if reason else "",
        )

    async def run(self, ctx: StepContext, params: DownParams) -> DownOutputs:
        """Take it down."""
        async with open_engine(ctx, params) as engine:
            begun = await begun_by(ctx.step_run)
            if begun is None:
                begun = await _look(ctx, engine, params)
                await note_begin(ctx.step_run, begun)
        seconds = whole_seconds(params.stop_timeout)
        compose = Compose(ctx, socket_of(params.engine, ctx), "/", begun.project)
        await compose.change(
            f"taking down {begun.project}",
            "down",
            *(["--remove-orphans"] if params.remove_orphans else []),
            *(["--volumes"] if params.volumes else []),
            *([] if seconds is None else [f"--timeout={seconds}"]),
            env={},
        )
        return DownOutputs(
            project=begun.project,
            changed=bool(begun.services),
            services=tuple(begun.services),
            volumes_removed=params.volumes,
            way_back=_no_way_back(params, begun),
            note=ctx.step_run,
        )

    async def undo(self, ctx: StepContext, params: DownParams, outputs: DownOutputs) -> None:
        """Bring it up again as it was."""
        if not outputs.changed:
            return
        if outputs.volumes_removed:
            raise Refused(f"the volumes of {outputs.project} were removed with it: restore a backup, and bring it up")
        begun = await begun_by(outputs.note)
        if begun is None:
            raise TargetFailed(
                f"the note of what {outputs.project} was is gone from this host: bring it up with compose.up"
            )
        async with open_engine(ctx, params) as engine:
            await put_back(ctx, engine, socket_of(params.engine, ctx), begun)
        ctx.log(f"{outputs.project} is up again as it was")

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers and docker has Compose."""
        return await compose_available(ctx)


async def _look(ctx: StepContext, engine: "Engine", params: DownParams) -> Begun:
    """Return what is there, and what is known of it."""
    now = await _project(engine, params)
    env = await environment_of(ctx, params.env)
    compose = Compose(ctx, socket_of(params.engine, ctx), now.directory or "/", now.project)
    previous, unknown = await before(compose, now, params.env, env)
    return Begun(project=now.project, previous=previous, unknown=unknown, services=found(now), wanted=[])


async def _project(engine: "Engine", params: DownParams) -> Standing:
    if params.project is not None:
        now = await standing(engine, params.project)
        if params.directory is not None:
            must_be_here(now, params.directory)
        return now
    folder = str(params.directory).rstrip("/")
    here = [one for one in (await projects(engine)).values() if one.directory.rstrip("/") == folder]
    if len(here) > 1:
        raise TargetFailed(
            f"{folder} has the projects {', '.join(one.project for one in here)}: say which, by `project`"
        )
    return here[0] if here else Standing(folder, folder, (), ())


async def _volumes(engine: "Engine", project: str) -> list[str]:
    return [str(one["Name"]) for one in await engine.volumes([f"{PROJECT}={project}"])]


def _no_way_back(params: DownParams, begun: Begun) -> str:
    """Say why undo could not bring it back; empty when it could."""
    return "its volumes go, too" if params.volumes and begun.services else begun.unknown
