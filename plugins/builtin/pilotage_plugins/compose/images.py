"""The images of a project, brought onto the host through its engine before anything is changed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from pilotage_plugin_api import Refused, TargetFailed

from pilotage_plugins.compose.site import Site
from pilotage_plugins.container.image import ImageOutputs, PullPolicy, RegistryLogin, ensure_image
from pilotage_plugins.container.reference import is_digest

if TYPE_CHECKING:
    from pilotage_plugins.container.engine import Engine


async def ensure_images(
    site: Site, policy: PullPolicy, logins: Mapping[str, RegistryLogin], stall_wait: timedelta, *, build: bool
) -> dict[str, ImageOutputs]:
    """Have the images of all services on the host, each asked for once; returns them by reference.

    With `build`, those that the file says how to build are left out. Raises the StepError of the first that cannot be
    had.
    """
    found: dict[str, ImageOutputs] = {}
    wanted = {service.image: service for service in site.wanted.services.values() if not (build and service.built)}
    for number, (reference, service) in enumerate(wanted.items()):
        site.ctx.progress(number / len(wanted), reference)
        if service.built and await site.engine.image(reference) is None:
            raise Refused(
                f"the image {reference} of {service.name} is to be built here: say build: true, or pull it before"
            )
        # What was built here has no registry to ask.
        chosen = PullPolicy.NEVER if service.built else policy
        login = login_of(reference, logins)
        found[reference] = await ensure_image(site.ctx, site.engine, reference, chosen, login, stall_wait)
    return found


def login_of(reference: str, logins: Mapping[str, RegistryLogin]) -> RegistryLogin | None:
    """Return who we are for an image's registry; None where nobody is named."""
    registry, slash, _ = reference.partition("/")
    return logins.get(registry) if slash else None


async def meanings(site: Site) -> dict[str, str]:
    """Return which local image each reference of the project means now, by id; those that mean none are left out."""
    references = {service.image for service in site.wanted.services.values()}
    found = {reference: await site.engine.image(reference) for reference in sorted(references)}
    return {reference: str(image["Id"]) for reference, image in found.items() if image is not None}


async def let_mean(engine: "Engine", images: Mapping[str, str]) -> None:
    """Let references mean these images again, which a way back may have changed; raises TargetFailed for one that is
    gone."""
    for reference, image in images.items():
        there = await engine.image(reference)
        if is_digest(reference) or (there is not None and there["Id"] == image):
            continue
        if await engine.image(image) is None:
            raise TargetFailed(f"the image that {reference} meant is gone from this host ({image}): pull it again")
        await engine.tag(image, reference)
