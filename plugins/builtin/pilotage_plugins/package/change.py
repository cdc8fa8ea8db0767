"""Changing packages: the note of what was there, the work, what became of it, and the way back."""

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pilotage_plugin_api import Action, Change, Preview, StepContext, StepFailed, StepOutputs, TargetFailed

from pilotage_plugins.note import shelf
from pilotage_plugins.package.apt import Apt
from pilotage_plugins.package.progress import status_pipe
from pilotage_plugins.package.simulation import PlannedChange, bare, offered_versions

_REBOOT_REQUIRED = Path("/run/reboot-required")


class PackageChange(StepOutputs):
    """One package that was changed; `before` is empty for a new one, `after` is empty for one that went."""

    package: str
    before: str = ""
    after: str = ""


class PackagesOutputs(StepOutputs):
    """What was changed, and what must follow.

    `restart` names the services that still run old code, as needrestart tells; null where it is not installed.
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


async def installed_versions(apt: Apt) -> dict[str, str]:
    """Return the version of every installed package, by name, and by name:arch for foreign ones."""
    form = "${binary:Package}\\t${db:Status-Status}\\t${Version}\\n"
    native = (await apt.quiet("dpkg", "--print-architecture")).strip()
    found = {}
    for line in (await apt.quiet("dpkg-query", "--show", f"--showformat={form}", tolerate=True)).splitlines():
        name, status, version = line.split("\t")
        if status not in ("not-installed", "config-files"):
            found[name.removesuffix(f":{native}").removesuffix(":all")] = version
    return found


async def unfinished(apt: Apt) -> list[str]:
    """Return the packages that an earlier run left half done."""
    form = "${binary:Package}\\t${db:Status-Status}\\n"
    lines = (await apt.quiet("dpkg-query", "--show", f"--showformat={form}", tolerate=True)).splitlines()
    states = ("half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")
    broken = [name for name, _, status in (line.partition("\t") for line in lines) if status in states]
    journal = Path("/var/lib/dpkg/updates")
    if not broken and journal.is_dir() and any(entry.name.isdigit() for entry in journal.iterdir()):
        return ["(the journal of dpkg)"]
    return broken


async def finish_what_was_cut_off(apt: Apt) -> list[str]:
    """Configure what an earlier run left half done, by the same policy for conffiles; return what that was."""
    broken = await unfinished(apt)
    if broken:
        apt.ctx.log(f"finishing what was cut off: {', '.join(broken[:20])}")
        await apt.quiet("dpkg", *apt.dpkg_flags, "--configure", "-a")
    return broken


async def carry_out(
    apt: Apt, changes: Sequence[PlannedChange], repaired: bool, *, downgrade: bool = False
) -> PackagesOutputs:
    """Make exactly these changes, noting the versions first; a retry still knows those from before its first try."""
    ctx = apt.ctx
    noted = await asyncio.to_thread(shelf.find, ctx.step_run, VersionsBefore)
    before = dict(noted.versions) if noted else {}
    repaired = repaired or (noted is not None and noted.repaired)
    for change in changes:
        before.setdefault(change.package, change.before)
    if changes:
        await asyncio.to_thread(shelf.keep, ctx.step_run, VersionsBefore(versions=before, repaired=repaired))
        await install(apt, changes, *(["--allow-downgrades"] if downgrade else []))
    now = await installed_versions(apt)
    if missed := [c.package for c in changes if now.get(c.package, "") != c.after]:
        raise StepFailed(f"apt said that it was done, but {', '.join(missed[:20])} is not at the planned version")
    made = [PackageChange(package=name, before=old, after=now.get(name, "")) for name, old in sorted(before.items())]
    return PackagesOutputs(
        changes=[change for change in made if change.before != change.after],
        reboot_required=_REBOOT_REQUIRED.exists(),
        restart=await _needrestart(apt),
        repaired=repaired,
    )


async def install(apt: Apt, changes: Sequence[PlannedChange | PackageChange], *flags: str) -> None:
    """Install and remove these versions; packages that were there as dependencies stay marked so."""
    wanted = [f"{c.package}={c.after}" if c.after else f"{c.package}-" for c in changes]
    automatic = set((await apt.quiet("apt-mark", "showauto")).split())
    new = [c.package for c in changes if c.after and not c.before]
    async with status_pipe(apt.ctx) as status:
        await apt.get(
            "-y", "--no-install-recommends", *flags, "-o", f"APT::Status-Fd={status}", "install", *wanted,
            pass_fds=[status],
        )  # fmt: skip
    were = [c.package for c in changes if c.after and (c.package in automatic or bare(c.package) in automatic)]
    if keep := [name for name in were if name not in new]:
        await apt.quiet("apt-mark", "auto", *keep)


async def give_back(apt: Apt, changes: Sequence[PackageChange]) -> None:
    """Bring these packages back to the versions from before; raises TargetFailed, naming those that nobody offers."""
    await finish_what_was_cut_off(apt)
    now = await installed_versions(apt)
    todo = [PackageChange(package=c.package, before=c.after, after=c.before) for c in changes]
    todo = [change for change in todo if now.get(change.package, "") != change.after]
    offered = await offered_versions(apt, (change.package for change in todo if change.after))
    gone = [f"{c.package} {c.after}" for c in todo if c.after and c.after not in offered.get(bare(c.package), ())]
    if gone:
        raise TargetFailed(
            f"no repository offers {', '.join(gone[:20])} any more, so nothing was changed: add one that does"
            " (snapshot.debian.org keeps Debian's), or install them by hand"
        )
    if todo:
        await install(apt, todo, "--allow-downgrades", "--allow-change-held-packages")


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


async def _needrestart(apt: Apt) -> list[str] | None:
    if await asyncio.to_thread(shutil.which, "needrestart") is None:
        return None
    told = await apt.quiet("needrestart", "-b", "-r", "l", tolerate=True)
    return sorted(re.findall(r"^NEEDRESTART-SVC: (\S+)", told, re.MULTILINE))[:200]


async def fresh(ctx: StepContext, options: tuple[str, ...], *, refresh: bool) -> Apt:
    """Return apt with lists as fresh as asked; fetching them changes them."""
    apt = Apt(ctx, options)
    if refresh:
        await apt.get("-o", "APT::Update::Error-Mode=any", "update")
    return apt
