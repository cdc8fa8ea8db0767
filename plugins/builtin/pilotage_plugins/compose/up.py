"""`compose.up`: a project as its file says, proven healthy, or what was there before."""

import asyncio
from collections.abc import Mapping

from pilotage_plugin_api import (
    Availability,
    Duration,
    Effect,
    Preview,
    ProbeAnswer,
    StepCancelled,
    StepContext,
    StepError,
    StepFailed,
    StepOutputs,
    StepType,
    TargetFailed,
)
from pydantic import Field

from pilotage_plugins.compose.changes import preview_of
from pilotage_plugins.compose.debt import clear, owe, owing_of, settle, take_back
from pilotage_plugins.compose.gate import GateParams, ServiceCheck, checks_of, wait_for_all, whose_fault
from pilotage_plugins.compose.images import ensure_images, let_mean, meanings
from pilotage_plugins.compose.previous import begin
from pilotage_plugins.compose.program import compose_available
from pilotage_plugins.compose.project import PlannedProjectParams, ServiceName
from pilotage_plugins.compose.record import Begun, Configuration, begun_by, remember
from pilotage_plugins.compose.site import Site, open_site
from pilotage_plugins.compose.standing import Standing, must_be_here, standing
from pilotage_plugins.compose.way_back import put_back
from pilotage_plugins.container.connection import open_engine, socket_of
from pilotage_plugins.container.image import PullPolicy, RegistryLogin, StallParams
from pilotage_plugins.container.seconds import whole_seconds
from pilotage_plugins.container.way_back import whatever_comes


class UpParams(StallParams, PlannedProjectParams, GateParams):
    """Which project, what counts as healthy, and what happens when it is not."""

    pull: PullPolicy = Field(PullPolicy.MISSING, description="When to ask registries for images")
    auth: dict[str, RegistryLogin] = Field(
        default_factory=dict, max_length=20, description="Who we are for registries, by name: registry.example.org:5000"
    )
    build: bool = Field(
        False, description="Build the images that the file says how to build; without, they must be there"
    )
    recreate: tuple[ServiceName, ...] = Field(
        (), description="Services whose containers are made anew though nothing changed"
    )
    remove_orphans: bool = Field(
        False, description="Remove containers of services that the file does not name any more"
    )
    stop_timeout: Duration | None = Field(None, description="Until an old container is killed (its own, else 10s)")
    revert: bool = Field(True, description="When it fails, put back what was there before; else leave all as it is")
    keep_previous: bool = Field(
        True, description="Refuse when nobody knows the configuration that runs now, as there would be no way back"
    )


class ServiceOutputs(StepOutputs):
    """One service. `changed`: its containers are others than before. `image_id` names its image for ever."""

    service: str
    image: str
    image_id: str
    containers: tuple[str, ...]
    changed: bool


class UpOutputs(StepOutputs):
    """The project as it is. `sha256` is that of its resolved file without secrets; `note` is where the host keeps what
    was there before. `unchecked`: services of which is only known that they keep running."""

    project: str
    directory: str
    changed: bool
    services: tuple[ServiceOutputs, ...]
    removed: tuple[str, ...]
    sha256: str
    note: str
    unchecked: tuple[str, ...] = ()


class ComposeUp(StepType[UpParams, UpOutputs]):
    """Bring a Compose project up as its file says, and see that every service is healthy; else put back what was there.

    Images are there before anything is changed. Undo brings back the configuration and the images from before, and
    takes down what this made. An attempt that was cut off is taken back, by the agent or the next attempt; where that
    was not wanted, it is told from a finished one by hashes and health checks.
    """

    name = "compose.up"
    effect = Effect.PROBE
    Params = UpParams
    Outputs = UpOutputs

    async def preview(self, ctx: StepContext, params: UpParams) -> Preview:
        """Say what would be created, recreated and removed."""
        async with open_site(ctx, params) as site:
            site.must_be(params.expect_sha256)
            now = await standing(site.engine, site.wanted.project)
            must_be_here(now, params.directory)
            return await preview_of(
                site,
                now,
                asks=params.pull is PullPolicy.ALWAYS,
                builds=params.build,
                recreate=params.recreate,
                orphans_go=params.remove_orphans,
            )

    async def run(self, ctx: StepContext, params: UpParams) -> UpOutputs:
        """Do it, or leave what was there."""
        async with open_site(ctx, params) as site:
            site.must_be(params.expect_sha256)
            begun = await self._ready_to_begin(site, params)
            try:
                if params.revert and begun.has_way_back:
                    await owe(ctx.attempt_key, site.compose.socket, begun, site.wanted)
                checks = await self._bring_up(site, params)
            except (asyncio.CancelledError, StepCancelled):
                if params.revert:
                    await whatever_comes(_put_back(site, begun))
                    ctx.log(f"{site.wanted.project} was put back as it was")
                raise
            except StepError as error:
                raise await _reverted(site, begun, error, revert=params.revert) from error
            await settle(ctx.attempt_key)
            return _outputs(ctx.step_run, site, begun, await standing(site.engine, site.wanted.project), checks)

    async def undo(self, ctx: StepContext, params: UpParams, outputs: UpOutputs) -> None:
        """Bring back what was there before."""
        begun = await begun_by(outputs.note)
        if begun is None:
            raise TargetFailed(
                f"the note of what {outputs.project} was before is gone from this host, so it was left as it is"
            )
        async with open_engine(ctx, params) as engine:
            await put_back(ctx, engine, socket_of(params.engine, ctx), begun)
        ctx.log(f"{outputs.project} is as it was before")

    async def recover(self, ctx: StepContext, params: UpParams, key: str) -> str:
        """Put back what was there if the attempt was cut off before all was proven healthy, unless `revert: false`."""
        owing = await owing_of(key)
        if owing is None:
            return ""
        async with open_engine(ctx, params) as engine:
            return await take_back(ctx, engine, owing)

    async def probe(self, ctx: StepContext, params: UpParams, key: str) -> ProbeAnswer[UpOutputs]:
        """Compare what is there with the file, and ask the health checks."""
        step_run = key.rpartition("/")[0]
        begun = await begun_by(step_run)
        if begun is None:
            return ProbeAnswer.not_done("it had not come to change anything: it left no note")
        if begun.taken_back == key:
            return ProbeAnswer.not_done(f"it was cut off, and {begun.project} was put back as it was")
        if await owing_of(key) is not None:
            return ProbeAnswer.not_done(f"cut off: the next attempt first puts {begun.project} back as it was")
        async with open_site(ctx, params) as site:
            now = await standing(site.engine, site.wanted.project)
            if reason := _unfinished(site, now):
                return ProbeAnswer.not_done(reason)
            try:
                checks = await checks_of(site.engine, site.wanted, params)
                await wait_for_all(ctx, site.engine, now, params, checks)
            except (StepFailed, TargetFailed) as error:
                return ProbeAnswer.not_done(f"all of {now.project} is there, but {error}")
            return ProbeAnswer.done(
                _outputs(step_run, site, begun, now, checks), "every service is as the file says, and healthy"
            )

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers and docker has Compose."""
        return await compose_available(ctx)

    async def _ready_to_begin(self, site: Site, params: UpParams) -> Begun:
        """Put in order what others left half done, have the images here, and note what there is to go back to."""
        engine, project = site.engine, site.wanted.project
        must_be_here(await standing(engine, project), params.directory)
        meant = await meanings(site)
        await clear(site.ctx, engine, site.compose.socket, project)
        await let_mean(engine, meant)
        images = await ensure_images(site, params.pull, params.auth, params.stall_wait, build=params.build)
        ids = {reference: image.id for reference, image in images.items()}
        now = await standing(engine, project)
        begun = await begin(site, now, ids, keep_previous=params.keep_previous, orphans_go=params.remove_orphans)
        if params.pull is not PullPolicy.ALWAYS:
            await let_mean(engine, begun.images)
        await remember(site.compose.socket, Configuration.of(site.wanted))
        return begun

    async def _bring_up(self, site: Site, params: UpParams) -> dict[str, ServiceCheck]:
        """Let Compose do it, and wait; returns how each service was checked."""
        project = site.wanted.project
        if params.build and any(service.built for service in site.wanted.services.values()):
            await site.change(f"building the images of {project}", "build")
        checks = await checks_of(site.engine, site.wanted, params)
        if params.recreate:
            await site.change(
                f"making {', '.join(params.recreate)} of {project} anew",
                *up(params, "--force-recreate"), "--", *params.recreate,
            )  # fmt: skip
        try:
            await site.change(f"bringing up {project}", *up(params))
        except StepError as error:
            now = await standing(site.engine, project)
            blamed = await whose_fault(site.ctx, site.engine, now, site.wanted)
            raise type(error)(f"{error}. {blamed}" if blamed else str(error)) from error
        now = await standing(site.engine, project)
        if reason := _unfinished(site, now):
            raise StepFailed(f"Compose said that {project} is up, but {reason}")
        await wait_for_all(site.ctx, site.engine, now, params, checks)
        return checks


def up(params: UpParams, *more: str) -> list[str]:
    """Return the command that brings the project up from images that are there."""
    stop = whole_seconds(params.stop_timeout)
    return [
        "up", "--detach", "--no-build", "--pull=never",
        *(["--remove-orphans"] if params.remove_orphans else []),
        *([] if stop is None else [f"--timeout={stop}"]),
        *more,
    ]  # fmt: skip


def _unfinished(site: Site, now: Standing) -> str:
    """Say what of the project is not there yet; empty when all is."""
    for name, service in site.wanted.services.items():
        members = now.services.get(name, ())
        if len(members) != service.replicas:
            return f"{name} has {len(members)} of {service.replicas} containers"
        if old := [one.name for one in members if one.hash != service.hash]:
            return f"{', '.join(old)} is still of another configuration"
        if idle := [one.name for one in members if one.state == "created"]:
            return f"{', '.join(idle)} was never started"
    return ""


async def _put_back(site: Site, begun: Begun) -> None:
    calm = site.at_leisure()
    await put_back(calm.ctx, calm.engine, calm.compose.socket, begun)
    await settle(calm.ctx.attempt_key)


async def _reverted(site: Site, begun: Begun, error: StepError, *, revert: bool) -> StepError:
    """Put back what was there, if asked, and return the error that says why, and what is there now."""
    project = site.wanted.project
    if not revert:
        return type(error)(f"{error} (revert: false: {project} was left as it is)")
    site.ctx.log(f"{project} is taken back: {error}")
    try:
        await whatever_comes(_put_back(site, begun))
    except StepError as worse:
        return StepFailed(f"{project} was not brought up ({error}), AND what was there could not be put back: {worse}")
    before = "what was there before is back" if begun.services else "what this had made was taken down"
    return type(error)(f"{project} was not brought up: {error}. All that had changed was reverted: {before}.")


def _outputs(note: str, site: Site, begun: Begun, now: Standing, checks: Mapping[str, ServiceCheck]) -> UpOutputs:
    services: list[ServiceOutputs] = []
    for name, service in site.wanted.services.items():
        members = now.services.get(name, ())
        before = begun.services.get(name)
        ids = tuple(one.id for one in members)
        services.append(
            ServiceOutputs(
                service=name,
                image=service.image,
                image_id=members[0].image_id if members else "",
                containers=tuple(one.name for one in members),
                changed=before is None or set(before.ids) != set(ids),
            )
        )
    removed = tuple(name for name in begun.services if name not in now.services)
    return UpOutputs(
        project=site.wanted.project,
        directory=site.wanted.directory,
        changed=bool(removed) or any(one.changed for one in services),
        services=tuple(services),
        removed=removed,
        sha256=site.wanted.sha256,
        note=note,
        unchecked=tuple(name for name, check in checks.items() if check.none),
    )
