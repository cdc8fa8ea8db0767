"""Bringing a project back to what a step run found: services, images, networks and volumes, and nothing more.

Containers of changed services are made anew, by Compose, from the noted configuration and the very images that they
had; so anonymous volumes go over, and what was written elsewhere in a container is gone, as with every `compose up`.
"""

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from pilotage_plugin_api import SecretRef, StepContext, StepError, StepFailed, TargetFailed

from pilotage_plugins.command.program import environment_of
from pilotage_plugins.compose.images import let_mean
from pilotage_plugins.compose.program import Compose
from pilotage_plugins.compose.record import Begun, Configuration, Found
from pilotage_plugins.compose.standing import Member, Standing, standing
from pilotage_plugins.container.health import HealthCheck
from pilotage_plugins.container.reference import is_digest
from pilotage_plugins.container.way_back import until_ready

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


async def put_back(ctx: StepContext, engine: "Engine", socket: str, begun: Begun) -> None:
    """Bring the project back to what was found. Repeating it is fine.

    Raises TargetFailed, having changed nothing, when there is no way back: nobody knows the configuration from before,
    or one of its images is gone.
    """
    previous = begun.previous
    if not begun.has_way_back:
        raise TargetFailed(f"{begun.project} was left as it is, as nobody knows what it was: {begun.unknown}")
    if previous is not None:
        await _must_have_images(engine, previous)
    now = await standing(engine, begun.project)
    added = [one for one in now.members if one.service in begun.wanted and one.service not in begun.services]
    await asyncio.gather(*(engine.remove(one.id, force=True, volumes=True) for one in added))
    if previous is not None:
        await _bring_back(ctx, engine, socket, begun, previous, now)
    for network in begun.networks:
        await _if_unused(ctx, f"the network {network}", engine.remove_network(network))
    for volume in begun.volumes:
        await _if_unused(ctx, f"the volume {volume}", engine.remove_volume(volume))


async def _bring_back(
    ctx: StepContext, engine: "Engine", socket: str, begun: Begun, previous: Configuration, now: Standing
) -> None:
    changed = {
        name: found
        for name, found in begun.services.items()
        if name in previous.references and _differs(found, now.services.get(name, ()))
    }
    if not changed:
        return
    await let_mean(engine, previous.images)
    # What they hold, ports above all, those that come back may need; Compose takes their volumes over all the same.
    new = [one for name, found in changed.items() for one in now.services.get(name, ()) if one.id not in found.ids]
    await asyncio.gather(*(engine.stop(one.id, None) for one in new))
    # Cut off between making a new container and removing the old one: Compose would give the old one's name to both.
    standing_ids = {one.id for one in now.members}
    beside = [one for one in new if standing_ids.issuperset(changed[one.service].ids)]
    await asyncio.gather(*(engine.remove(one.id, force=True) for one in beside))
    compose = Compose(ctx, socket, previous.directory, previous.project)
    env = await environment_of(ctx, {name: SecretRef.parse(ref) for name, ref in previous.secrets.items()})
    # Not --no-deps: it changes the hashes. Not a start by Compose: it would run jobs again that have done their work.
    scale = [f"--scale={name}={len(found.ids)}" for name, found in changed.items()]
    await compose.change(
        f"bringing back {', '.join(changed)} of {previous.project}",
        "up", "--no-start", "--no-build", "--pull=missing", *scale, "--", *changed,
        env=env, text=previous.text,
    )  # fmt: skip
    await _run_as_before(ctx, engine, previous, changed)


async def _run_as_before(
    ctx: StepContext, engine: "Engine", previous: Configuration, changed: Mapping[str, Found]
) -> None:
    """Start what ran, after what it depends on, and stop what did not; raises StepFailed for what does not run."""
    services = (await standing(engine, previous.project)).services
    ready = until_ready(ctx, engine, HealthCheck(docker=True))
    needs = dependencies(json.loads(previous.text))
    for name in TopologicalSorter(needs).static_order():
        if name not in changed:
            continue
        if not changed[name].running:
            await asyncio.gather(*(engine.stop(one.id, None) for one in services.get(name, ()) if one.running))
            continue
        for other, condition in needs[name].items():
            if condition == "service_healthy":
                await asyncio.gather(*(ready(one.id) for one in services.get(other, ())))
        await asyncio.gather(*(engine.start(one.id) for one in services.get(name, ())))
    after = (await standing(engine, previous.project)).services
    if dead := [name for name, found in changed.items() if found.running and not _any_runs(after.get(name, ()))]:
        raise StepFailed(f"{', '.join(dead)} of {previous.project} was brought back, but does not run: see its log")


def dependencies(model: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return for each service of a resolved file what it waits for, and until when."""
    return {
        name: {other: str(wait.get("condition", "")) for other, wait in (service.get("depends_on") or {}).items()}
        for name, service in model["services"].items()
    }


def _any_runs(members: Sequence[Member]) -> bool:
    return any(one.running for one in members)


def _differs(found: Found, now: Sequence[Member]) -> bool:
    return {one.id for one in now} != set(found.ids) or _any_runs(now) != found.running


async def _must_have_images(engine: "Engine", previous: Configuration) -> None:
    images = [pair for pair in previous.images.items() if not is_digest(pair[0])]
    gone = [reference for reference, image in images if await engine.image(image) is None]
    if gone:
        raise TargetFailed(
            f"the images from before are gone from this host ({', '.join(gone)}), so {previous.project} cannot be"
            " brought back and was left as it is"
        )


async def _if_unused(ctx: StepContext, name: str, removing: Awaitable[None]) -> None:
    try:
        await removing
    except StepError as error:
        ctx.log(f"{name} stays: {error}")
