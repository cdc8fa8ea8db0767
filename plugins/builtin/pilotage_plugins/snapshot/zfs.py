"""Snapshots of ZFS datasets, by the program zfs. A rollback destroys the present state, and only that: ZFS itself
refuses it where younger snapshots would go with it."""

from datetime import UTC, datetime
from typing import Final

from pilotage_plugin_api import Refused, StepContext

from pilotage_plugins.backup.moment import format_time
from pilotage_plugins.snapshot.asked import answer_of, lacking, refuse_nested
from pilotage_plugins.snapshot.backend import (
    Kind,
    Method,
    Outlook,
    Restored,
    Snapshot,
    Wish,
    execution_of,
    snapshot_id,
    step_run_of,
)
from pilotage_plugins.snapshot.place import Place

ATTEMPT: Final = "pilotage:attempt"
PREFIX: Final = "pilotage-"


class ZfsSnapshots:
    """A backend over datasets that are mounted at the path."""

    method: Final = Method.ZFS
    tells_restored: Final = False

    async def missing(self, ctx: StepContext) -> str:
        """Look for the program, and for the kernel's module behind it."""
        return await lacking(ctx, ["zfs", "version"], "zfsutils-linux")

    async def misfit(self, ctx: StepContext, place: Place) -> str:
        """Only a dataset has snapshots."""
        if place.mount.type == "zfs" and place.is_mount_point:
            return ""
        return "it is not where a ZFS dataset is mounted"

    async def outlook(self, ctx: StepContext, place: Place, wish: Wish) -> Outlook:
        """It takes no room to begin with; other datasets mounted inside are not in it."""
        refuse_nested(place, place.mounts_inside, wish)
        return Outlook(where=place.mount.source, note="a ZFS snapshot", nested=place.mounts_inside)

    async def create(self, ctx: StepContext, place: Place, wish: Wish) -> Snapshot:
        """Make it, unless this attempt has."""
        refuse_nested(place, place.mounts_inside, wish)
        name = snapshot_id(ctx.attempt_key)
        before = await self.snapshots(ctx, place)
        if not any(each.id == name for each in before):
            await answer_of(ctx, "zfs", *create_arguments(place.mount.source, name, ctx.attempt_key))
        for each in before:
            if each.step_run == step_run_of(ctx.attempt_key) and each.id != name:
                await self.remove(ctx, place, each)
        made = next(each for each in await self.snapshots(ctx, place) if each.id == name)
        return made.model_copy(update={"left_out": place.mounts_inside})

    async def snapshots(self, ctx: StepContext, place: Place) -> list[Snapshot]:
        """List those that carry our property."""
        return read_snapshots(await answer_of(ctx, "zfs", *list_arguments(place.mount.source)), str(place.path))

    async def remove(self, ctx: StepContext, place: Place, snapshot: Snapshot) -> None:
        """Destroy the snapshot, never a dataset."""
        if any(each.id == snapshot.id for each in await self.snapshots(ctx, place)):
            await answer_of(ctx, "zfs", *destroy_arguments(place.mount.source, snapshot.id))

    async def restore(self, ctx: StepContext, place: Place, snapshot: Snapshot, *, keep_current: bool) -> Restored:
        """Roll the dataset back."""
        if keep_current:
            raise Refused(
                "keep_current: a ZFS rollback loses the present state. Set keep_current: false to lose it, or copy what"
                f" you need from {place.path}/.zfs/snapshot/{PREFIX}{snapshot.id}"
            )
        await answer_of(ctx, "zfs", "rollback", f"{place.mount.source}@{PREFIX}{snapshot.id}")
        return Restored(snapshot=snapshot.id, method=self.method, path=str(place.path), kept=None, was_there=True)

    async def restored(self, ctx: StepContext, place: Place, attempt: str) -> Restored | None:
        """A dataset does not tell whether it was rolled back."""
        return None

    async def put_back(self, ctx: StepContext, place: Place, restored: Restored) -> None:
        """There is nothing to put back."""
        raise Refused(f"the state of {str(place.path)!r} before the rollback was not kept")


def create_arguments(dataset: str, name: str, attempt: str) -> list[str]:
    """Return the arguments of zfs that make a snapshot."""
    return ["snapshot", "-o", f"{ATTEMPT}={attempt}", f"{dataset}@{PREFIX}{name}"]


def list_arguments(dataset: str) -> list[str]:
    """Return the arguments that list a dataset's own snapshots, exact numbers, tabs between."""
    return ["list", "-H", "-p", "-d", "1", "-t", "snapshot", "-o", f"name,creation,{ATTEMPT}", dataset]


def destroy_arguments(dataset: str, name: str) -> list[str]:
    """Return the arguments that destroy one snapshot; the @ in it keeps zfs from ever taking it for a dataset."""
    return ["destroy", f"{dataset}@{PREFIX}{name}"]


def read_snapshots(listed: str, path: str) -> list[Snapshot]:
    """Read what `list_arguments` printed; snapshots that are not ours are passed over."""
    found = []
    for line in listed.splitlines():
        name, creation, attempt = [*line.split("\t"), "", ""][:3]
        _, _, short = name.partition(f"@{PREFIX}")
        if not short or attempt in ("", "-"):
            continue
        found.append(
            Snapshot(
                id=short,
                kind=Kind.SNAPSHOT,
                method=Method.ZFS,
                path=path,
                where=name,
                made_at=format_time(datetime.fromtimestamp(int(creation), UTC)),
                whole=True,
                execution=execution_of(attempt),
                step_run=step_run_of(attempt),
            )
        )
    return found
