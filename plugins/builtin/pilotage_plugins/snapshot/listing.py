"""`snapshot.list`: what is kept of a path."""

from pilotage_plugin_api import Effect, StepContext, StepOutputs

from pilotage_plugins.snapshot.backend import Snapshot
from pilotage_plugins.snapshot.choice import find_all, place_of
from pilotage_plugins.snapshot.parameters import PathParams, SnapshotStepType

LISTED = 100


class SnapshotListOutputs(StepOutputs):
    """The newest hundred, newest first, and how many there are in all."""

    snapshots: tuple[Snapshot, ...]
    total: int


class SnapshotList(SnapshotStepType[PathParams, SnapshotListOutputs]):
    """List the snapshots of a path, and what restores have put aside there: newest first, those cut off marked."""

    name = "snapshot.list"
    effect = Effect.READ
    Params = PathParams
    Outputs = SnapshotListOutputs

    async def run(self, ctx: StepContext, params: PathParams) -> SnapshotListOutputs:
        """Ask every backend that serves the path."""
        found = await find_all(ctx, await place_of(params.path))
        shown = [each.model_copy(update={"left_out": each.left_out[:5]}) for each in found[:LISTED]]
        return SnapshotListOutputs(snapshots=tuple(shown), total=len(found))
