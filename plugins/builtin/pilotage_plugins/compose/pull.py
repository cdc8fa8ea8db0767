"""`compose.pull`: the images of a project on the host, before anything is changed."""

from pilotage_plugin_api import Action, Availability, Change, Effect, Preview, StepContext, StepOutputs, StepType
from pydantic import Field

from pilotage_plugins.compose.images import ensure_images
from pilotage_plugins.compose.program import compose_available
from pilotage_plugins.compose.project import PlannedProjectParams
from pilotage_plugins.compose.site import open_site
from pilotage_plugins.container.image import ImageOutputs, PullPolicy, RegistryLogin, StallParams
from pilotage_plugins.container.reference import is_digest


class PullParams(StallParams, PlannedProjectParams):
    """Which project."""

    policy: PullPolicy = Field(PullPolicy.ALWAYS, description="always asks the registries what tags mean now")
    auth: dict[str, RegistryLogin] = Field(
        default_factory=dict, max_length=20, description="Who we are for registries, by name: registry.example.org:5000"
    )


class PulledOutputs(StepOutputs):
    """The images, by reference."""

    project: str
    images: tuple[ImageOutputs, ...]


class ComposePull(StepType[PullParams, PulledOutputs]):
    """Bring the images of a Compose project onto the host, through its engine, and check that they fit the machine.

    What the file says how to build is left to compose.up. Nothing is undone: an image that nobody uses harms nobody.
    """

    name = "compose.pull"
    effect = Effect.IDEMPOTENT
    Params = PullParams
    Outputs = PulledOutputs

    async def preview(self, ctx: StepContext, params: PullParams) -> Preview:
        """Say which are there."""
        changes = []
        async with open_site(ctx, params) as site:
            site.must_be(params.expect_sha256)
            for reference in sorted({each.image for each in site.wanted.services.values() if not each.built}):
                there = await site.engine.image(reference)
                if there and (is_digest(reference) or params.policy is not PullPolicy.ALWAYS):
                    changes.append(Change(action=Action.NONE, subject=reference, note="is on the host"))
                else:
                    note = f"on the host as {there['Id']}; the registry may have another one by now" if there else ""
                    changes.append(Change(action=Action.CREATE, subject=reference, note=note))
        return Preview(changes=tuple(changes), complete=all(change.action is Action.NONE for change in changes))

    async def run(self, ctx: StepContext, params: PullParams) -> PulledOutputs:
        """Pull them."""
        async with open_site(ctx, params) as site:
            site.must_be(params.expect_sha256)
            images = await ensure_images(site, params.policy, params.auth, params.stall_wait, build=True)
        return PulledOutputs(project=site.wanted.project, images=tuple(images.values()))

    async def available(self, ctx: StepContext) -> Availability:
        """Whether the engine answers and docker has Compose."""
        return await compose_available(ctx)
