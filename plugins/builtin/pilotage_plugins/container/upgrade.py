"""`container.upgrade`: the same container from another image, proven healthy, or the old one back."""

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    DeadlineExceeded,
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
from pydantic import BeforeValidator, Field, model_validator

from pilotage_plugins.container.blue_green import must_be_switchable, retire, switch
from pilotage_plugins.container.configuration import Configuration, configuration_of, differences
from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.health import HealthCheck, Verdict, kind_of, wait_until_healthy
from pilotage_plugins.container.image import (
    ImageOutputs,
    ImageReference,
    PullPolicy,
    RegistryLogin,
    StallParams,
    ensure_image,
)
from pilotage_plugins.container.names import also_called, connect_as, must_be_nameable, nameless
from pilotage_plugins.container.naming import ContainerName, name_in_list
from pilotage_plugins.container.reference import pinned
from pilotage_plugins.container.rehearsal import must_be_rehearsable, publishes_ports, rehearse, remove_rehearsals
from pilotage_plugins.container.rolling import settle, take_over
from pilotage_plugins.container.seconds import whole_seconds
from pilotage_plugins.container.swap import (
    ATTEMPT,
    Swap,
    candidate_name,
    read_swap,
    record,
    remove_if_made_by,
    swaps_of,
)
from pilotage_plugins.container.way_back import restore_interrupted, take_back, until_ready, whatever_comes

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

CANCELLED_STOP_SECONDS = 2
"""A stopped attempt has ten seconds to clean up, so the new container gets less than it may ask for."""

COMPOSE_PROJECT = "com.docker.compose.project"

BACK_DRAIN_SECONDS = 3.0
"""So long a new container that gives the traffic back answers what it was asked: within those ten seconds. What was
lost while it left its names is sent again after 1 and 3 seconds (RFC 6298)."""


class Method(StrEnum):
    """How the new one takes over."""

    ROLLING = "rolling"
    BLUE_GREEN = "blue_green"


def _method(value: object) -> object:
    return "rolling" if value == "recreate" else value


class UpgradeParams(StallParams, EngineParams):
    """Which container, which image, and what counts as healthy."""

    container: ContainerName = Field(description="Name of the container")
    image: ImageReference = Field(description="name:tag or, better, name@sha256:… (container.resolve_image gives it)")
    method: Annotated[Method, BeforeValidator(_method)] = Field(
        Method.ROLLING,
        description="rolling: stop the old one, start the new one in its place (also: recreate). blue_green: run the"
        " new one beside it, and switch the names in its networks; where ports are published, rehearse it beside the"
        " old one, and hand them over when it is healthy",
    )
    drain: Duration | None = Field(
        None,
        description="rolling, for one of several replicas behind an alias: leave the alias so long before the stop,"
        " and come back to it only when healthy",
    )
    scale_down_delay: Duration | None = Field(
        None,
        description="blue_green: so long the old one runs on after the switch, to answer what it was asked and to take"
        " over again if the new one does not stay healthy (10s). With ports handed over: so long it waits, stopped",
    )
    share_mounts: bool = Field(False, description="blue_green: both may write to the same volumes and folders")
    health: HealthCheck = Field(default_factory=HealthCheck, description="The gate; Docker's own health check if empty")
    pull: PullPolicy = Field(PullPolicy.MISSING, description="When to ask the registry")
    auth: RegistryLogin | None = None
    stop_timeout: Duration | None = Field(None, description="Until the old one is killed (its own, else 10s)")
    keep_previous: bool = Field(
        True, description="Keep the old container, stopped, as NAME.pilotage-previous: undo needs it"
    )

    @model_validator(mode="after")
    def _of_the_method(self) -> Self:
        beside = self.method is Method.BLUE_GREEN
        others = ("drain",) if beside else ("scale_down_delay", "share_mounts")
        if wrong := [name for name in others if getattr(self, name) not in (None, False)]:
            raise ValueError(f"{', '.join(wrong)} does not go with method {self.method}")
        return self

    @property
    def runs_on(self) -> timedelta:
        """How long the old one runs on after the switch."""
        return timedelta(seconds=10) if self.scale_down_delay is None else self.scale_down_delay

    def with_ports_handed_over(self) -> Self:
        """Return what is left to do after a rehearsal: to stop the old one, start the new one, and watch it."""
        time = max(self.health.min_healthy_time, self.runs_on)
        limit = self.health.healthy_deadline + time
        health = self.health.model_copy(update={"min_healthy_time": time, "healthy_deadline": limit})
        return self.model_copy(update={"method": Method.ROLLING, "health": health})

    @property
    def names_leave(self) -> float | None:
        """How long the one that leaves its names runs on, in seconds, when a swap is taken back; None: they stay."""
        if self.method is Method.BLUE_GREEN:
            return BACK_DRAIN_SECONDS
        return None if self.drain is None else self.drain.total_seconds()


class Generation(StepOutputs):
    """A container before or after: its id and image. `ref` names the image for ever where a registry gave a digest."""

    id: str
    image: str
    image_id: str
    ref: str


class UpgradeOutputs(StepOutputs):
    """What serves now and what served before. `health` is null when nothing had to be done. `downtime_s`: how long
    neither served: from the old one's stop until the new one was seen healthy. 0 with blue_green by names, where `cut`
    names networks in which requests under way may have been cut. `rehearsed`: the new one ran beside the old one first.
    """

    container: str
    changed: bool
    before: Generation
    after: Generation
    previous_kept: bool
    health: Verdict | None
    downtime_s: float | None
    cut: tuple[str, ...] = ()
    rehearsed: bool = False


class ContainerUpgrade(StepType[UpgradeParams, UpgradeOutputs]):
    """Replace a container by one of another image that has everything else it had, and keep it only if it is healthy.

    Environment, mounts (anonymous volumes too), networks with aliases, labels, ports, restart policy, limits,
    capabilities and health check go over; what came from the old image's defaults comes from the new image's. When
    the new one dies, restarts again and again, or is not healthy in time, the old container itself is put back and
    started, and the step fails saying why. Undo does the same later. An attempt that was killed in the middle is seen
    by its labels: the agent, or the next attempt, puts the old container back.
    """

    name = "container.upgrade"
    effect = Effect.PROBE
    Params = UpgradeParams
    Outputs = UpgradeOutputs

    async def preview(self, ctx: StepContext, params: UpgradeParams) -> Preview:
        """Say which image gives way to which."""
        async with open_engine(ctx, params) as engine:
            old = await engine.inspect(params.container)
            await self._must_fit(engine, old, params)
            wanted = await engine.image(params.image)
        before = f"{old['Config']['Image']} ({old['Image']})"
        if wanted is not None and wanted["Id"] == old["Image"]:
            return Preview(changes=(Change(action=Action.NONE, subject=params.container, before=before),))
        after = f"{params.image} ({wanted['Id'] if wanted else 'to be pulled'})"
        note = "stops for as long as the new one takes to start"
        if params.method is Method.BLUE_GREEN and publishes_ports(old):
            note = f"the new one is rehearsed beside it without its ports, and then {note}"
        elif params.method is Method.BLUE_GREEN:
            note = f"both run until {params.runs_on} after the switch; names are switched, not addresses"
        change = Change(action=Action.UPDATE, subject=params.container, before=before, after=after, note=note)
        return Preview(changes=(change,), complete=wanted is not None, note=" ".join(_warnings(old, params)))

    async def run(self, ctx: StepContext, params: UpgradeParams) -> UpgradeOutputs:
        """Do it, or leave what was there."""
        async with open_engine(ctx, params) as engine:
            ready = until_ready(ctx, engine, params.health)
            for swap in await restore_interrupted(engine, params.container, whole_seconds(params.stop_timeout), ready):
                ctx.log(f"put back {swap.name} as it was before the interrupted attempt {swap.attempt}")
            await remove_rehearsals(engine, params.container)
            old = await engine.inspect(params.container)
            await self._must_fit(engine, old, params)
            image = await ensure_image(ctx, engine, params.image, params.pull, params.auth, params.stall_wait)
            before = await _generation(engine, old)
            if old["Image"] == image.id:
                ctx.log(f"{params.container} runs {image.ref} already")
                return UpgradeOutputs(
                    container=params.container, changed=False, before=before, after=before,
                    previous_kept=False, health=None, downtime_s=None,
                )  # fmt: skip
            return await _Upgrade(ctx, engine, params).replace(old, before, image)

    async def undo(self, ctx: StepContext, params: UpgradeParams, outputs: UpgradeOutputs) -> None:
        """Put the old container back."""
        if not outputs.changed:
            return
        async with open_engine(ctx, params) as engine:
            new = await engine.find(outputs.after.id)
            if new is not None and (swap := read_swap(new)):
                ready = until_ready(ctx, engine, params.health)
                await take_back(engine, swap, whole_seconds(params.stop_timeout), ready)
                ctx.log(f"{outputs.container} is {outputs.before.ref} again")
                return
            now = await engine.find(outputs.container)
            if now is None or now["Id"] != outputs.before.id:
                raise TargetFailed(
                    f"{outputs.container} was replaced again after this step, so it was left as it is:"
                    f" upgrade it to {outputs.before.ref} to go back"
                )

    async def probe(self, ctx: StepContext, params: UpgradeParams, key: str) -> ProbeAnswer[UpgradeOutputs]:
        """Tell a settled upgrade from one that was cut off; the latter is taken back by `recover`, else by the next
        attempt."""
        async with open_engine(ctx, params) as engine:
            for swap, settled in await swaps_of(engine, params.container):
                if swap.attempt != key:
                    continue
                if not settled:
                    return ProbeAnswer.not_done(
                        f"cut off on trial: the next attempt first puts {swap.name} back as it was ({swap.old[:12]})"
                    )
                return await _finished(engine, swap)
        return ProbeAnswer.not_done(f"no container carries the label {ATTEMPT}={key}")

    async def recover(self, ctx: StepContext, params: UpgradeParams, key: str) -> str:
        """Put the old container back if the attempt was cut off before its swap was settled."""
        async with open_engine(ctx, params) as engine:
            await remove_rehearsals(engine, params.container)
            ready = until_ready(ctx, engine, params.health)
            for swap, settled in await swaps_of(engine, params.container):
                if swap.attempt == key and not settled:
                    await take_back(engine, swap, whole_seconds(params.stop_timeout), ready)
                    return f"put {swap.name} back as it was before the upgrade ({swap.old[:12]})"
        return ""

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)

    async def _must_fit(self, engine: "Engine", old: dict[str, Any], params: UpgradeParams) -> None:
        await _must_be_replaceable(engine, old)
        if params.method is Method.BLUE_GREEN and publishes_ports(old):
            must_be_rehearsable(old, params.health, share_mounts=params.share_mounts)
            return
        if params.method is Method.BLUE_GREEN:
            must_be_switchable(old, share_mounts=params.share_mounts)
        if params.names_leave is not None:
            must_be_nameable(old)


class _Upgrade:
    """One replacement, from the candidate to the settled swap."""

    def __init__(self, ctx: StepContext, engine: "Engine", params: UpgradeParams) -> None:
        self._ctx = ctx
        self._engine = engine
        self._params = params

    async def replace(self, old: dict[str, Any], before: Generation, image: ImageOutputs) -> UpgradeOutputs:
        wanted = configuration_of(old, await self._engine.image(old["Image"]))
        rehearsed = self._params.method is Method.BLUE_GREEN and publishes_ports(old)
        if rehearsed:
            await rehearse(self._ctx, self._engine, old, wanted, image.id, self._params.health)
            self._params = self._params.with_ports_handed_over()
        swap = await self._candidate(old, wanted, image)
        cut: list[str] = []
        downtime = 0.0
        try:
            if swap.beside:
                verdict, cut = await self._blue_green(swap)
            else:
                verdict, downtime = await self._rolling(swap)
            await settle(self._engine, swap, keep=self._params.keep_previous)
        except Exception as error:
            if isinstance(error, StepCancelled):
                await self._given_up(swap)
                raise
            known = error if isinstance(error, StepError) else StepFailed(f"{type(error).__name__}: {error}.")
            raise await self._taken_back(swap, before, image, known) from error
        except BaseException:
            await self._given_up(swap)
            raise
        after = await _generation(self._engine, await self._engine.inspect(swap.new))
        return UpgradeOutputs(
            container=swap.name, changed=True, before=before, after=after,
            previous_kept=self._params.keep_previous, health=verdict, downtime_s=round(downtime, 3), cut=tuple(cut),
            rehearsed=rehearsed,
        )  # fmt: skip

    async def _given_up(self, swap: Swap) -> None:
        await whatever_comes(self._take_back(swap, CANCELLED_STOP_SECONDS))
        self._ctx.log(f"{swap.name} was put back as it was")

    async def _rolling(self, swap: Swap) -> tuple[Verdict, float]:
        """Stop, start, gate. One that left its names comes back to them only now."""
        started = self._ctx.clock()
        await take_over(self._engine, swap, whole_seconds(self._params.stop_timeout))
        downtime = self._ctx.clock() - started
        verdict = await wait_until_healthy(self._ctx, self._engine, swap.new, self._params.health)
        downtime += max(0.0, verdict.seconds - self._params.health.min_healthy_time.total_seconds())
        if swap.drain is not None:
            await connect_as(self._engine, swap.new, swap.networks)
            await self._must_stay_healthy(swap, timedelta(0))
        return verdict, downtime

    async def _blue_green(self, swap: Swap) -> tuple[Verdict, list[str]]:
        """Start beside, gate, give it the names, look again, take them from the old one, watch, stop the old one."""
        await self._engine.start(swap.new)
        verdict = await wait_until_healthy(self._ctx, self._engine, swap.new, self._params.health)
        await connect_as(self._engine, swap.new, also_called(swap.networks, swap.name))
        # Its own connections into these networks were cut by that.
        await self._must_stay_healthy(swap, timedelta(0))
        cut = await switch(self._engine, swap)
        if cut:
            self._ctx.log(f"the old one lost its address in {', '.join(cut)}: requests under way may have been cut")
        self._ctx.log(f"{swap.name} is the new one; the old one runs on for {self._params.runs_on}")
        await self._must_stay_healthy(swap, self._params.runs_on)
        await retire(self._engine, swap, whole_seconds(self._params.stop_timeout))
        return verdict, cut

    async def _must_stay_healthy(self, swap: Swap, time: timedelta) -> None:
        limit = time + self._params.health.healthy_deadline
        again = self._params.health.model_copy(update={"min_healthy_time": time, "healthy_deadline": limit})
        await wait_until_healthy(self._ctx, self._engine, swap.new, again)

    async def _take_back(self, swap: Swap, stop_seconds: int | None) -> None:
        ready = until_ready(self._ctx, self._engine, self._params.health)
        await take_back(self._engine, swap, stop_seconds, ready)

    async def _candidate(self, old: dict[str, Any], wanted: Configuration, image: ImageOutputs) -> Swap:
        """Make the new container, stopped, and check that it is what the old one is; the old one runs on."""
        name = candidate_name(self._params.container)
        reference = self._params.image if image.ref.startswith("sha256:") else image.ref
        beside, leave = self._params.method is Method.BLUE_GREEN, self._params.names_leave
        if leave is not None:
            wanted = replace(wanted, endpoints=nameless(wanted.endpoints))
        body = wanted.body(reference, record(self._ctx.attempt_key, old, beside=beside, drain=leave))
        try:
            new = await self._engine.create(name, body)
            for network, endpoint in wanted.others.items():
                await self._engine.connect(network, new, endpoint)
            made = await self._engine.inspect(new)
            kind_of(self._params.health, made)
            if made["Image"] != image.id:
                raise StepFailed(f"{reference} meant another image when {name} was made: it was moved meanwhile")
            if unlike := differences(wanted, configuration_of(made, await self._engine.image(image.id))):
                raise StepFailed(
                    f"the engine does not make a container like {self._params.container}: {'; '.join(unlike)[:1500]}"
                )
        except BaseException:
            await remove_if_made_by(self._engine, name, self._ctx.attempt_key)
            raise
        swap = read_swap(made)
        assert swap is not None
        return swap

    async def _taken_back(self, swap: Swap, before: Generation, image: ImageOutputs, error: StepError) -> StepError:
        """Put the old one back and return the error that says why, and what serves now."""
        self._ctx.log(f"the new {swap.name} is taken back: {error}")
        late = isinstance(error, DeadlineExceeded)
        seconds = CANCELLED_STOP_SECONDS if late else whole_seconds(self._params.stop_timeout)
        try:
            await whatever_comes(self._take_back(swap, seconds))
        except Exception as worse:
            return StepFailed(
                f"{swap.name} was not upgraded to {image.ref} ({error}), AND its old container {swap.old[:12]} could"
                f" not be put back: {worse}. Run container.revert for it once that is mended"
            )
        now = await self._engine.inspect(swap.name)
        state = "runs again" if now["State"]["Running"] else "is back, stopped as before"
        text = f"{swap.name} was not upgraded to {image.ref}: {error} The old version {before.ref} {state}."
        return type(error)(text)


def _warnings(old: dict[str, Any], params: UpgradeParams) -> list[str]:
    """Return what whoever approves the upgrade should know of its way back, and of what comes after it."""
    found = []
    if not params.keep_previous:
        found.append(
            "Warning: keep_previous is false, so there is no way back once the new one is healthy: the old container is"
            " removed, and a rollback cannot undo this step."
        )
    if project := (old["Config"].get("Labels") or {}).get(COMPOSE_PROJECT):
        found.append(
            f"Warning: {params.container} belongs to the compose project {project}: the next `docker compose up` brings"
            " back the image that its file names. Change it there too."
        )
    return found


async def _finished(engine: "Engine", swap: Swap) -> ProbeAnswer[UpgradeOutputs]:
    """Answer for a settled swap, with the outputs as far as they can be known afterwards."""
    new, old = await engine.inspect(swap.new), await engine.find(swap.old)
    after = await _generation(engine, new)
    if old is None:
        before = Generation(id=swap.old, image="", image_id="", ref="")
    else:
        before = await _generation(engine, old)
    outputs = UpgradeOutputs(
        container=swap.name, changed=True, before=before, after=after,
        previous_kept=old is not None, health=None, downtime_s=None,
    )  # fmt: skip
    return ProbeAnswer.done(outputs, "the new container passed its gate and took over")


async def _generation(engine: "Engine", found: dict[str, Any]) -> Generation:
    reference, image = found["Config"]["Image"], await engine.image(found["Image"])
    ref = found["Image"] if image is None else pinned(reference, image)
    return Generation(id=found["Id"], image=reference, image_id=found["Image"], ref=ref)


async def _must_be_replaceable(engine: "Engine", old: dict[str, Any]) -> None:
    """Refuse what could not be put back, or would take others down with it; raises TargetFailed."""
    name = str(old["Name"]).lstrip("/")
    labels = old["Config"].get("Labels") or {}
    if old["HostConfig"].get("AutoRemove"):
        raise TargetFailed(f"{name} was started with --rm: it vanishes when it stops, so there would be no way back")
    if old["State"]["Paused"]:
        raise TargetFailed(f"{name} is paused, so it cannot be stopped in order: unpause it first")
    if "com.docker.swarm.service.id" in labels:
        raise TargetFailed(f"{name} belongs to a Swarm service: upgrade the service")
    sharing = {f"container:{old['Id']}", f"container:{name}"}
    others = [name_in_list(one) for one in await engine.containers() if one["HostConfig"]["NetworkMode"] in sharing]
    if others:
        raise TargetFailed(f"{', '.join(others)} use the network of {name} and would lose it: remove them first")
