"""Changing packages: the note of what was there, the work, what became of it, and the way back."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import Collection, Sequence

from pilotage_plugin_api import Action, Change, Preview, StepContext, StepError, StepFailed, StepOutputs, TargetFailed
from pydantic import Field

from pilotage_plugins.host.boot import reasons_to_reboot
from pilotage_plugins.note import shelf
from pilotage_plugins.package.running import units_that_run
from pilotage_plugins.package.system import PackageChange, PackageManager, PlannedChange


class PackagesOutputs(StepOutputs):
    """What was changed, and what must follow.

    `restart` names the services that still run old code, as needrestart tells; null where it cannot.
    `repaired` says that an earlier run which was cut off was finished first. `automatic` names those of the packages
    that went which had been there as dependencies.
    """

    changes: list[PackageChange]
    reboot_required: bool
    restart: list[str] | None
    repaired: bool
    automatic: list[str] = Field(default_factory=list)


class VersionsBefore(StepOutputs):
    """The note of a step run: the versions before its first attempt, empty for packages that were not there.

    `automatic`: the packages that must be marked as dependencies afterwards, or must be again when they come back.
    """

    versions: dict[str, str]
    repaired: bool
    automatic: list[str] = Field(default_factory=list)


async def carry_out(
    manager: PackageManager,
    changes: Sequence[PlannedChange],
    repaired: bool,
    *,
    asked: Collection[str] = (),
    downgrade: bool = False,
) -> PackagesOutputs:
    """Make exactly these changes, noting the versions first; a retry still knows those from before its first try.

    New packages whose names were not `asked` for are marked as dependencies, so that they go when nothing needs them.
    """
    ctx = manager.ctx
    noted = await asyncio.to_thread(shelf.find, ctx.step_run, VersionsBefore)
    before = dict(noted.versions) if noted else {}
    repaired = repaired or (noted is not None and noted.repaired)
    for change in changes:
        before.setdefault(change.package, change.before)
    automatic = {*(noted.automatic if noted else ()), *await _not_asked_for(manager, changes, asked)}
    note = VersionsBefore(versions=before, repaired=repaired, automatic=sorted(automatic))
    if changes:
        await asyncio.to_thread(shelf.keep, ctx.step_run, note)
    await _make(manager, changes, note, downgrade=downgrade)
    now = await manager.installed()
    if missed := [c.package for c in changes if now.get(c.package, "") != c.after]:
        raise StepFailed(f"all seemed done, but {', '.join(missed[:20])} is not at the planned version")
    made = [PackageChange(package=name, before=old, after=now.get(name, "")) for name, old in sorted(before.items())]
    return PackagesOutputs(
        changes=[change for change in made if change.before != change.after],
        reboot_required=await reasons_to_reboot(ctx) is not None,
        restart=await _needrestart(ctx),
        repaired=repaired,
        automatic=[name for name in note.automatic if before.get(name) and name not in now],
    )


async def has_begun(ctx: StepContext) -> bool:
    """Whether an earlier attempt of this step run has begun to change packages."""
    return await asyncio.to_thread(shelf.find, ctx.step_run, VersionsBefore) is not None


async def give_back(manager: PackageManager, outputs: PackagesOutputs) -> None:
    """Bring packages back to their versions and marks; raises TargetFailed, naming those that nobody offers."""
    await manager.finish()
    now = await manager.installed()
    todo = [PackageChange(package=c.package, before=c.after, after=c.before) for c in outputs.changes]
    todo = [change for change in todo if now.get(change.package, "") != change.after]
    offered = await manager.offered(change.package for change in todo if change.after)
    plain = manager.plain_name
    gone = [f"{c.package} {c.after}" for c in todo if c.after and c.after not in offered.get(plain(c.package), ())]
    if gone:
        raise TargetFailed(
            f"no repository offers {', '.join(gone[:20])} any more, so nothing was changed: add one that does"
            " (snapshot.debian.org keeps Debian's), or install them by hand"
        )
    step_run = manager.ctx.step_run
    noted = await asyncio.to_thread(shelf.find, step_run, VersionsBefore)
    marked = await manager.automatic()
    automatic = {
        *outputs.automatic,
        *(noted.automatic if noted else ()),
        *(c.package for c in todo if c.package in marked),
    }
    note = VersionsBefore(versions={}, repaired=False, automatic=sorted(automatic))
    if todo:
        await asyncio.to_thread(shelf.keep, step_run, note)
    await _make(manager, todo, note, downgrade=True, change_held=True)


async def mark_what_was_cut_off(manager: PackageManager, key: str) -> str:
    """Mark as dependencies what the interrupted attempt `key` had no time to; say what that was."""
    noted = await asyncio.to_thread(shelf.find, key.rpartition("/")[0], VersionsBefore)
    late = await manager.mark_automatic(noted.automatic) if noted and noted.automatic else []
    return f"marked as dependencies: {', '.join(late[:20])}" if late else ""


async def _make(
    manager: PackageManager,
    changes: Sequence[PlannedChange | PackageChange],
    note: VersionsBefore,
    *,
    downgrade: bool,
    change_held: bool = False,
) -> None:
    """Make the changes, and the marks also of what was made when it fails or is stopped."""
    try:
        if changes:
            await manager.make(changes, downgrade=downgrade, change_held=change_held)
    except BaseException:
        with contextlib.suppress(StepError):
            await manager.at_leisure().mark_automatic(note.automatic)
        raise
    if note.automatic:
        await manager.mark_automatic(note.automatic)


async def _not_asked_for(
    manager: PackageManager, changes: Sequence[PlannedChange], asked: Collection[str]
) -> list[str]:
    """Return the packages that are dependencies already, and the new ones that nobody named."""
    if not changes:
        return []
    there, marked = await manager.installed(), await manager.automatic()
    names = {*asked, *map(manager.plain_name, asked)}
    known = there.keys() | {change.package for change in changes}
    # A virtual package is another one in the end, which nobody may take for unasked.
    named = (
        {change.package for change in changes}
        if any(manager.plain_name(each) not in known for each in asked)
        else names
    )
    return [c.package for c in changes if (c.package in marked if c.before else c.package not in named)]


def must_not_remove(changes: Sequence[PlannedChange], *, allowed: bool) -> None:
    """Raise TargetFailed when packages would go that nobody agreed to lose."""
    going = [change.package for change in changes if not change.after]
    if going and not allowed:
        raise TargetFailed(f"this would remove {', '.join(going[:20])}: set allow_remove: true if that is right")


async def units_to_restart(manager: PackageManager, changes: Sequence[PlannedChange]) -> list[str] | None:
    """Return the units that run code of what is to be changed; None when the agent may not look at all processes."""
    files = await manager.files(change.package for change in changes if change.before)
    return await asyncio.to_thread(units_that_run, files)


async def preview_with_units(manager: PackageManager, changes: Sequence[PlannedChange], note: str = "") -> Preview:
    """Show planned changes, and below them what goes on with old code until it is restarted."""
    units = await units_to_restart(manager, changes)
    said = f"run old code until they are restarted: {', '.join(units)}" if units else ""
    if units is None:
        said = "which units must restart is not known: only root may look at every process"
    return preview_of(changes, "; ".join(part for part in (note, said) if part)[:4096])


def preview_of(changes: Sequence[PlannedChange], note: str = "") -> Preview:
    """Show planned changes, with a word about those that have no way back."""
    shown = []
    for change in changes[:999]:
        action = Action.DELETE if not change.after else Action.UPDATE if change.before else Action.CREATE
        words = [f"{change.download_bytes} bytes to fetch"] if change.download_bytes else []
        words += ["security"] if change.security else []
        words += [] if change.way_back else ["no repository offers the present version: an undo will fail"]
        shown.append(
            Change(
                action=action,
                subject=change.package,
                before=change.before or None,
                after=change.after or None,
                note=", ".join(words),
            )
        )
    return Preview(changes=tuple(shown), note=note)


async def _needrestart(ctx: StepContext) -> list[str] | None:
    if await asyncio.to_thread(shutil.which, "needrestart") is None:
        return None
    lines: list[bytes] = []
    result = await ctx.program(["needrestart", "-b", "-r", "l"], on_stdout=lines.append)
    if result.exit_code != 0:
        ctx.log(f"needrestart ended with {result.ending}, so it is not known what must restart")
        return None
    return services_in(b"\n".join(lines).decode("utf-8", "replace"))


def services_in(told: str) -> list[str]:
    """Read what `needrestart -b` tells: the services that still run old code."""
    return sorted(set(re.findall(r"^NEEDRESTART-SVC: (\S+)", told, re.MULTILINE)))[:200]
