"""`container.pull` and `container.resolve_image`, and what both of them and the upgrade know about images."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pilotage_plugin_api import (
    Action,
    Availability,
    Change,
    Duration,
    Effect,
    InfrastructureFailed,
    Preview,
    Refused,
    SecretRef,
    StepContext,
    StepOutputs,
    StepParams,
    StepType,
    TargetFailed,
)
from pydantic import Field, field_validator

from pilotage_plugins.container.connection import EngineParams, engine_available, open_engine
from pilotage_plugins.container.reference import (
    REFERENCE_PATTERN,
    digest_in,
    is_digest,
    pinned,
    registry_of,
    repository_of,
)

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine

ImageReference = Annotated[str, Field(pattern=REFERENCE_PATTERN, max_length=500)]


class RegistryLogin(StepParams):
    """Who we are for the registry."""

    username: str = Field(min_length=1, max_length=255)
    password: SecretRef


class PullPolicy(StrEnum):
    """When to ask the registry. A digest that is there is never asked for again."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


class StallParams(StepParams):
    """How patient a pull is. The engine has no such limit: it would wait for a registry for ever."""

    stall_wait: Duration = Field(
        timedelta(minutes=5), description="A pull that gets no further for so long is given up, to be tried again"
    )

    @field_validator("stall_wait")
    @classmethod
    def _patient(cls, wait: timedelta) -> timedelta:
        if wait <= timedelta(0):
            raise ValueError("must be longer than nothing")
        return wait


class PullParams(StallParams, EngineParams):
    """Which image."""

    image: ImageReference = Field(description="name:tag or name@sha256:…; without either, the tag latest")
    policy: PullPolicy = Field(PullPolicy.ALWAYS, description="always asks the registry what a tag means now")
    auth: RegistryLogin | None = None


class ImageOutputs(StepOutputs):
    """One image. `ref` names exactly it, for ever: give it to later steps. `digest` is the registry's, or for an image
    that no registry knows, its id."""

    image: str
    ref: str
    digest: str
    id: str
    architecture: str
    bytes: int
    pulled: bool


class ContainerPull(StepType[PullParams, ImageOutputs]):
    """Bring an image onto the host, by tag or by digest, and check that it is made for this kind of machine.

    Images that are there already cost one question. Nothing is undone: an image that nobody uses harms nobody.
    """

    name = "container.pull"
    effect = Effect.IDEMPOTENT
    Params = PullParams
    Outputs = ImageOutputs

    async def preview(self, ctx: StepContext, params: PullParams) -> Preview:
        """Say whether it is there."""
        async with open_engine(ctx, params) as engine:
            there = await engine.image(params.image)
        if there and (is_digest(params.image) or params.policy is not PullPolicy.ALWAYS):
            return Preview(changes=(Change(action=Action.NONE, subject=params.image, note="is on the host"),))
        note = "" if there is None else f"on the host as {there['Id']}; the registry may have another one by now"
        return Preview(changes=(Change(action=Action.CREATE, subject=params.image, note=note),), complete=not there)

    async def run(self, ctx: StepContext, params: PullParams) -> ImageOutputs:
        """Pull it."""
        async with open_engine(ctx, params) as engine:
            return await ensure_image(ctx, engine, params.image, params.policy, params.auth, params.stall_wait)

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


class ResolveImageParams(StallParams, EngineParams):
    """Which image."""

    image: ImageReference = Field(description="name:tag")
    auth: RegistryLogin | None = None


class ResolveImageOutputs(StepOutputs):
    """`ref` is `name@sha256:…`; `platforms` such as `linux/amd64` (empty when the registry does not tell)."""

    image: str
    ref: str
    digest: str
    platforms: tuple[str, ...]


class ContainerResolveImage(StepType[ResolveImageParams, ResolveImageOutputs]):
    """Ask the registry which digest a tag means now, without pulling anything. Use it with `at_plan: true`.

    The question goes through the engine of the host, with the host's way to the registry.
    """

    name = "container.resolve_image"
    effect = Effect.READ
    Params = ResolveImageParams
    Outputs = ResolveImageOutputs

    async def run(self, ctx: StepContext, params: ResolveImageParams) -> ResolveImageOutputs:
        """Ask."""
        async with open_engine(ctx, params) as engine:
            auth = await _credentials(ctx, params.image, params.auth)
            async with _watched(params.image, params.stall_wait):
                answer = await engine.in_registry(params.image, auth)
        digest = str(answer["Descriptor"]["digest"])
        platforms = [one for one in answer.get("Platforms") or () if one.get("os")]
        return ResolveImageOutputs(
            image=params.image,
            ref=f"{repository_of(params.image)}@{digest}",
            digest=digest,
            platforms=tuple(f"{one['os']}/{one['architecture']}" for one in platforms),
        )

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers."""
        return await engine_available(ctx)


async def ensure_image(
    ctx: StepContext,
    engine: "Engine",
    reference: str,
    policy: PullPolicy,
    login: RegistryLogin | None,
    stall_wait: timedelta,
) -> ImageOutputs:
    """Have the image on the host; raises Refused, TargetFailed or InfrastructureFailed that say why it is not.

    A pull that gets no further for `stall_wait` is an InfrastructureFailed.
    """
    found = await engine.image(reference)
    pulled = False
    local = policy is PullPolicy.MISSING or is_digest(reference)
    if found is None and (policy is PullPolicy.NEVER or reference.startswith("sha256:")):
        raise Refused(f"the image {reference} is not on this host, and it is not to be pulled")
    if found is None or not (local or policy is PullPolicy.NEVER):
        await _pull(ctx, engine, reference, login, stall_wait)
        found, pulled = await engine.image(reference), True
    if found is None:
        raise TargetFailed(f"{reference} was pulled, but the engine does not show it: was it removed at once?")
    await _check_machine(engine, reference, found)
    ref = pinned(reference, found)
    return ImageOutputs(
        image=reference,
        ref=ref,
        digest=digest_in(ref),
        id=found["Id"],
        architecture=found["Architecture"],
        bytes=int(found["Size"]),
        pulled=pulled,
    )


async def _pull(
    ctx: StepContext, engine: "Engine", reference: str, login: RegistryLogin | None, stall_wait: timedelta
) -> None:
    auth = await _credentials(ctx, reference, login)
    layers: dict[str, tuple[int, int]] = {}
    async with _watched(reference, stall_wait) as watch, aclosing(engine.pull(reference, auth)) as reports:
        async for report in reports:
            status, layer = str(report.get("status", "")), report.get("id")
            detail = report.get("progressDetail") or {}
            if layer and detail.get("total"):
                layers[layer] = (int(detail.get("current", 0)), int(detail["total"]))
                done, total = map(sum, zip(*layers.values(), strict=True))
                ctx.progress(done / total if total else None, f"{status} {layer}")
            elif status and not layer:
                ctx.log(status)
            watch.heard(str(layer), status, int(detail.get("current", 0)))


@dataclass(slots=True)
class _Watch:
    """What a pull has come to. Being told again what was known, or that the engine tries again, is no progress."""

    patience: asyncio.Timeout
    seconds: float
    known: dict[str, tuple[str, int]] = field(default_factory=dict)

    def heard(self, layer: str, status: str, current: int) -> None:
        """Take a report of the engine, and be patient anew if it tells of anything that got further."""
        if self.known.get(layer) != (status, current) and not status.startswith("Retrying"):
            self.known[layer] = (status, current)
            self.patience.reschedule(asyncio.get_running_loop().time() + self.seconds)


@asynccontextmanager
async def _watched(reference: str, stall_wait: timedelta) -> AsyncIterator[_Watch]:
    """Give up what is done inside when its watch hears of nothing for so long; raises InfrastructureFailed then."""
    seconds = stall_wait.total_seconds()
    try:
        async with asyncio.timeout(seconds) as patience:
            yield _Watch(patience, seconds)
    except TimeoutError as error:
        raise InfrastructureFailed(
            f"pulling {reference}: nothing has come from the registry {registry_of(reference)} for {seconds:g} s. Is"
            " the way to it open? Layers that came whole are kept, and the next attempt goes on with the others"
            " (stall_wait says how long to wait)"
        ) from error


async def _credentials(ctx: StepContext, reference: str, login: RegistryLogin | None) -> dict[str, str] | None:
    if login is None:
        return None
    registry, slash, _ = reference.partition("/")
    if not slash:
        raise Refused(f"with auth, write the registry in front of the image: docker.io/library/{reference}")
    password = (await ctx.secret(login.password)).decode().strip()
    return {"username": login.username, "password": password, "serveraddress": registry}


async def _check_machine(engine: "Engine", reference: str, image: dict[str, Any]) -> None:
    ours = await engine.version()
    if (image["Os"], image["Architecture"]) != (ours["Os"], ours["Arch"]):
        raise TargetFailed(
            f"the image {reference} is made for {image['Os']}/{image['Architecture']},"
            f" this host is {ours['Os']}/{ours['Arch']}: build or pull one for it"
        )
