"""Changing packages: the note of what was there, the work, what became of it, and the way back."""

import asyncio
import re
import shutil
from collections.abc import Sequence

from pilotage_plugin_api import Action, Change, Preview, StepContext, StepFailed, StepOutputs, TargetFailed

from pilotage_plugins.host.boot import REBOOT_REQUIRED
from pilotage_plugins.note import shelf
from pilotage_plugins.package.running import units_that_run
from pilotage_plugins.package.system import PackageChange, PackageManager, PlannedChange


class PackagesOutputs(StepOutputs):
    """What was changed, and what must follow.

    `restart` names the services that still run old code, as needrestart tells; null where it cannot.
    `repaired` says that an earlier run which was cut off was finished first.
    """

    changes: list[PackageChange]
    reboot_required: bool
    restart: list[str] | None
    repaired: bool


class VersionsBefore(StepOutputs):
    """The note of a step run: the versions before its first attempt, empty for packages that were not there."""

    versions: dict[str, str]
    repaired: bool


async def carry_out(
    manager: PackageManager, changes: Sequence[PlannedChange], repaired: bool, *, downgrade: bool = False
) -> PackagesOutputs:
    """Make exactly these changes, noting the versions first; a retry still knows those from before its first try."""
    ctx = manager.ctx
    noted = await asyncio.to_thread(shelf.find, ctx.step_run, VersionsBefore)
    before = dict(noted.versions) if noted else {}
    repaired = repaired or (noted is not None and noted.repaired)
    for change in changes:
        before.setdefault(change.package, change.before)
    if changes:
        await asyncio.to_thread(shelf.keep, ctx.step_run, VersionsBefore(versions=before, repaired=repaired))
        await manager.make(changes, downgrade=downgrade)
    now = await manager.installed()
    if missed := [c.package for c in changes if now.get(c.package, "") != c.after]:
        raise StepFailed(f"all seemed done, but {', '.join(missed[:20])} is not at the planned version")
    made = [PackageChange(package=name, before=old, after=now.get(name, "")) for name, old in sorted(before.items())]
    return PackagesOutputs(
        changes=[change for change in made if change.before != change.after],
        reboot_required=REBOOT_REQUIRED.exists(),
        restart=await _needrestart(ctx),
        repaired=repaired,
    )


async def give_back(manager: PackageManager, changes: Sequence[PackageChange]) -> None:
    """Bring these packages back to the versions from before; raises TargetFailed, naming those that nobody offers."""
    await manager.finish()
    now = await manager.installed()
    todo = [PackageChange(package=c.package, before=c.after, after=c.before) for c in changes]
    todo = [change for change in todo if now.get(change.package, "") != change.after]
    offered = await manager.offered(change.package for change in todo if change.after)
    plain = manager.plain_name
    gone = [f"{c.package} {c.after}" for c in todo if c.after and c.after not in offered.get(plain(c.package), ())]
    if gone:
        raise TargetFailed(
            f"no repository offers {', '.join(gone[:20])} any more, so nothing was changed: add one that does"
            " (snapshot.debian.org keeps Debian's), or install them by hand"
        )
    if todo:
        await manager.make(todo, downgrade=True, change_held=True)


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
