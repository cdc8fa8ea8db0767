"""What the verbs share: the path, which snapshot, and what a host can do."""

from typing import Annotated, Generic, TypeVar

from pilotage_plugin_api import Availability, StepContext, StepParams, StepType
from pydantic import BaseModel, Field

from pilotage_plugins.backup.parameters import PlainPath
from pilotage_plugins.snapshot.choice import BACKENDS, LATEST, OWN

ParamsT = TypeVar("ParamsT", bound=BaseModel)
OutputsT = TypeVar("OutputsT", bound=BaseModel)

Which = Annotated[
    str,
    Field(
        pattern=rf"^({OWN}|{LATEST}|[0-9a-f]{{16}})$",
        description=f"`{OWN}`: the newest that this execution made of the path; `{LATEST}`: the newest; or an id",
    ),
]


class PathParams(StepParams):
    """Of what."""

    path: PlainPath = Field(description="A folder, a file, or where a ZFS dataset or an LVM volume is mounted")


class SnapshotStepType(StepType[ParamsT, OutputsT], Generic[ParamsT, OutputsT]):
    """What every verb shares: a host can always copy; which other methods it has is told by name."""

    async def available(self, ctx: StepContext) -> Availability:
        """Ask each backend."""
        missing = {str(backend.method): await backend.missing(ctx) for backend in BACKENDS}
        return Availability(
            available=True, details={method: reason or "available" for method, reason in missing.items()}
        )
