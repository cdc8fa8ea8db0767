"""Snapshots of LVM volumes, thin and classic, by LVM's programs. They are made, listed and removed; bringing one back
needs the volume out of use, and is said rather than done."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pilotage_plugin_api import Refused, StepContext, StepFailed

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

PREFIX: Final = "pilotage-"
_TAG: Final = "pilotage"
_ATTEMPT: Final = "pilotage.attempt="
_MADE: Final = "pilotage.made="
_FIELDS: Final = "vg_name,lv_name,origin,pool_lv,segtype,lv_tags,lv_snapshot_invalid"


@dataclass(frozen=True, slots=True)
class Volume:
    """A logical volume; `thin` ones need no room set aside for a snapshot."""

    group: str
    name: str
    thin: bool


class LvmSnapshots:
    """A backend over volumes that are mounted at the path."""

    method: Final = Method.LVM
    tells_restored: Final = True

    async def missing(self, ctx: StepContext) -> str:
        """Look for the programs."""
        return await lacking(ctx, ["lvs", "--version"], "lvm2")

    async def misfit(self, ctx: StepContext, place: Place) -> str:
        """Only a volume has snapshots."""
        if not place.is_mount_point or not place.mount.source.startswith("/dev/"):
            return "it is not where an LVM volume is mounted"
        try:
            await _volume(ctx, place)
        except StepFailed:
            return f"{place.mount.source} is no LVM volume"
        return ""

    async def outlook(self, ctx: StepContext, place: Place, wish: Wish) -> Outlook:
        """Say what is set aside."""
        refuse_nested(place, place.mounts_inside, wish)
        volume = await _volume(ctx, place)
        note = "a thin snapshot" if volume.thin else f"a classic snapshot with {wish.share} % of the volume set aside"
        return Outlook(where=f"{volume.group}/{volume.name}", note=note, nested=place.mounts_inside)

    async def create(self, ctx: StepContext, place: Place, wish: Wish) -> Snapshot:
        """Make it, unless this attempt has; LVM has the file system stand still for that moment."""
        refuse_nested(place, place.mounts_inside, wish)
        volume, name = await _volume(ctx, place), snapshot_id(ctx.attempt_key)
        before = await self.snapshots(ctx, place)
        if not any(each.id == name for each in before):
            made_at = int(datetime.now(UTC).timestamp())
            await answer_of(ctx, *create_arguments(volume, name, ctx.attempt_key, made_at, wish.share))
        for each in before:
            if each.step_run == step_run_of(ctx.attempt_key) and each.id != name:
                await self.remove(ctx, place, each)
        made = next(each for each in await self.snapshots(ctx, place) if each.id == name)
        return made.model_copy(update={"left_out": place.mounts_inside})

    async def snapshots(self, ctx: StepContext, place: Place) -> list[Snapshot]:
        """List those with our tags."""
        volume = await _volume(ctx, place)
        return read_snapshots(await answer_of(ctx, *list_arguments(volume.group)), volume, str(place.path))

    async def remove(self, ctx: StepContext, place: Place, snapshot: Snapshot) -> None:
        """Remove it."""
        if any(each.id == snapshot.id for each in await self.snapshots(ctx, place)):
            await answer_of(ctx, *remove_arguments(await _volume(ctx, place), snapshot.id))

    async def restore(self, ctx: StepContext, place: Place, snapshot: Snapshot, *, keep_current: bool) -> Restored:
        """Say how it is done by hand."""
        raise Refused(
            "LVM brings a snapshot back only while nothing uses the volume, which a step does not see to. Stop what"
            f" uses it, then: umount {place.path} && lvconvert --merge {snapshot.where} && mount {place.path}."
            " The present state is lost by that"
        )

    async def restored(self, ctx: StepContext, place: Place, attempt: str) -> Restored | None:
        """Nothing is ever restored here."""
        return None

    async def put_back(self, ctx: StepContext, place: Place, restored: Restored) -> None:
        """Nothing is ever restored here."""


def create_arguments(volume: Volume, name: str, attempt: str, made_at: int, share: int) -> list[str]:
    """Return the command that makes a snapshot. `share`: per cent of a classic volume that may change before its
    snapshot is lost."""
    room = [] if volume.thin else ["--extents", f"{share}%ORIGIN"]
    tags = [_TAG, _ATTEMPT + base64.urlsafe_b64encode(attempt.encode()).decode(), f"{_MADE}{made_at}"]
    named = [part for tag in tags for part in ("--addtag", tag)]
    return ["lvcreate", "--snapshot", "--name", PREFIX + name, *named, *room, f"{volume.group}/{volume.name}"]


def list_arguments(target: str) -> list[str]:
    """Return the command that lists volumes: of a group, or one by its device."""
    return ["lvs", "--reportformat", "json", "--all", "--options", _FIELDS, target]


def remove_arguments(volume: Volume, name: str) -> list[str]:
    """Return the command that removes a snapshot."""
    return ["lvremove", "--yes", f"{volume.group}/{PREFIX}{name}"]


def read_volume(report: str) -> Volume:
    """Read the report on one volume; raises StepFailed when it is none."""
    rows = _rows(report)
    if len(rows) != 1:
        raise StepFailed(f"lvs lists {len(rows)} volumes where one was asked for")
    return Volume(group=rows[0]["vg_name"], name=rows[0]["lv_name"].strip("[]"), thin=rows[0]["segtype"] == "thin")


def read_snapshots(report: str, volume: Volume, path: str) -> list[Snapshot]:
    """Read the report on a group: our snapshots of this volume. A classic one that overflowed is not whole."""
    found = []
    for row in _rows(report):
        tags = row["lv_tags"].split(",")
        attempt = next((tag.removeprefix(_ATTEMPT) for tag in tags if tag.startswith(_ATTEMPT)), "")
        made = next((tag.removeprefix(_MADE) for tag in tags if tag.startswith(_MADE)), "0")
        if row["origin"].strip("[]") != volume.name or not attempt or not row["lv_name"].startswith(PREFIX):
            continue
        key = base64.urlsafe_b64decode(attempt).decode()
        found.append(
            Snapshot(
                id=row["lv_name"].removeprefix(PREFIX),
                kind=Kind.SNAPSHOT,
                method=Method.LVM,
                path=path,
                where=f"{row['vg_name']}/{row['lv_name']}",
                made_at=format_time(datetime.fromtimestamp(int(made), UTC)),
                whole=row.get("lv_snapshot_invalid", "") in ("", "0"),
                execution=execution_of(key),
                step_run=step_run_of(key),
            )
        )
    return found


def _rows(report: str) -> list[dict[str, str]]:
    try:
        parsed: dict[str, Any] = json.loads(report)
        return [row for part in parsed["report"] for row in part["lv"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StepFailed(f"lvs printed what cannot be read ({error}): another version?") from error


async def _volume(ctx: StepContext, place: Place) -> Volume:
    return read_volume(await answer_of(ctx, *list_arguments(place.mount.source)))
