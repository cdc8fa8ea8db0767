"""The images of a project, brought onto the host through its engine before anything is changed."""

from collections.abc import Mapping

from pilotage_plugin_api import Refused

from pilotage_plugins.compose.site import Site
from pilotage_plugins.container.image import ImageOutputs, PullPolicy, RegistryLogin, ensure_image


async def ensure_images(
    site: Site, policy: PullPolicy, logins: Mapping[str, RegistryLogin], *, build: bool
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
        found[reference] = await ensure_image(site.ctx, site.engine, reference, chosen, login_of(reference, logins))
    return found


def login_of(reference: str, logins: Mapping[str, RegistryLogin]) -> RegistryLogin | None:
    """Return who we are for an image's registry; None where nobody is named."""
    registry, slash, _ = reference.partition("/")
    return logins.get(registry) if slash else None
