"""`compose.list` and `compose.config`: looking, never touching."""

from pilotage_plugin_api import Availability, Effect, StepContext, StepFailed, StepOutputs, StepType
from pydantic import Field

from pilotage_plugins.compose.profiles import profiles_of
from pilotage_plugins.compose.program import compose_available
from pilotage_plugins.compose.project import ProjectParams
from pilotage_plugins.compose.site import open_site
from pilotage_plugins.compose.standing import Standing, projects
from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine, socket_of


class ListProjectsParams(EngineParams):
    """Which projects."""

    all: bool = Field(True, description="Those of which nothing runs, too")
    profiles: bool = Field(False, description="Have Compose read their files, to say which profiles are switched on")
    max_items: int = Field(100, ge=1, le=100, description="More than this fail the step")


class ListedProject(StepOutputs):
    """A project. `directory` and `files` are where its containers were made from. `status` is `running`, `stopped`, or
    `partly` when some containers of it run; `unhealthy` names those that Docker calls so. `profiles`: those that are
    switched on; null when nobody asked, or Compose cannot read the files."""

    name: str
    directory: str
    files: tuple[str, ...]
    services: tuple[str, ...]
    status: str
    running: int
    containers: int
    unhealthy: tuple[str, ...]
    profiles: tuple[str, ...] | None = None


class ListProjectsOutputs(StepOutputs):
    """By name; good for `for_each`."""

    projects: tuple[ListedProject, ...]


class ComposeList(StepType[ListProjectsParams, ListProjectsOutputs]):
    """List the Compose projects of a host by name, with folder, files and status; feeds `for_each`.

    They are known by the labels of their containers, so that even a host without the program tells them.
    """

    name = "compose.list"
    effect = Effect.READ
    Params = ListProjectsParams
    Outputs = ListProjectsOutputs

    async def run(self, ctx: StepContext, params: ListProjectsParams) -> ListProjectsOutputs:
        """List."""
        async with open_engine(ctx, params) as engine:
            found = await projects(engine)
        chosen = [one for one in map(_listed, found.values()) if params.all or one.running]
        if len(chosen) > params.max_items:
            raise StepFailed(f"there are {len(chosen)} projects, more than max_items {params.max_items}")
        if params.profiles:
            socket = socket_of(params.engine, ctx)
            asked = [await profiles_of(ctx, socket, found[one.name]) for one in chosen]
            chosen = [one.model_copy(update={"profiles": told}) for one, told in zip(chosen, asked, strict=True)]
        return ListProjectsOutputs(projects=tuple(chosen))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


def _listed(one: Standing) -> ListedProject:
    running = sum(member.running for member in one.members)
    return ListedProject(
        name=one.project,
        directory=one.directory,
        files=one.files,
        services=tuple(one.services),
        status="stopped" if not running else "running" if running == len(one.members) else "partly",
        running=running,
        containers=len(one.members),
        unhealthy=tuple(member.name for member in one.members if "(unhealthy)" in member.status),
    )


class DefinedService(StepOutputs):
    """A service in a file. `checked`: the file has a health check for it; null when that is left to the image."""

    name: str
    image: str
    built: bool
    replicas: int
    checked: bool | None
    job: bool
    hash: str


class ConfigOutputs(StepOutputs):
    """A project as Compose understands its file. `sha256` is that of the whole, secrets aside: with `at_plan: true` it
    pins what is to be deployed. Values of variables are not shown."""

    project: str
    directory: str
    sha256: str
    services: tuple[DefinedService, ...]
    images: tuple[str, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]


class ComposeConfig(StepType[ProjectParams, ConfigOutputs]):
    """Read a Compose project and tell what it would be: services, images, networks, volumes, and a digest of it all.

    A file that Compose does not accept fails it, with Compose's own words.
    """

    name = "compose.config"
    effect = Effect.READ
    Params = ProjectParams
    Outputs = ConfigOutputs

    async def run(self, ctx: StepContext, params: ProjectParams) -> ConfigOutputs:
        """Read."""
        async with open_site(ctx, params) as site:
            wanted = site.wanted
        return ConfigOutputs(
            project=wanted.project,
            directory=wanted.directory,
            sha256=wanted.sha256,
            services=tuple(
                DefinedService(
                    name=one.name,
                    image=one.image,
                    built=one.built,
                    replicas=one.replicas,
                    checked=one.checked,
                    job=one.job,
                    hash=one.hash,
                )
                for one in wanted.services.values()
            ),
            images=tuple(sorted({one.image for one in wanted.services.values()})),
            networks=wanted.networks,
            volumes=wanted.volumes,
        )

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers and docker has Compose."""
        return await compose_available(ctx)
