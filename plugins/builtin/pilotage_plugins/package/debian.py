"""Debian's packages, by apt and dpkg."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from pilotage_plugin_api import StepContext

from pilotage_plugins.package.apt import LOOKING, Apt, at_work, beside
from pilotage_plugins.package.lock import frontend_lock
from pilotage_plugins.package.progress import status_pipe
from pilotage_plugins.package.security import fixes, security_archives
from pilotage_plugins.package.simulation import bare, offered_versions, simulate, with_details
from pilotage_plugins.package.system import Conffiles, PackageChange, PlannedChange

_HALF_DONE = ("half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")
_EVERY_LIST = ("-o", "APT::Update::Error-Mode=any", "update")
_FILES_AT_ONCE = 100


class Debian:
    """The package manager of Debian and what descends from it."""

    def __init__(self, apt: Apt) -> None:
        self._apt = apt

    @classmethod
    async def looking(cls, ctx: StepContext, *, fresh: bool = False) -> "Debian":
        """Return one that changes nothing on the host; `fresh` lists are fetched into the attempt's own folder."""
        if not fresh:
            return cls(Apt(ctx, LOOKING))
        found = cls(Apt(ctx, await asyncio.to_thread(beside, ctx.scratch)))
        await found.refresh()
        return found

    @classmethod
    def working(cls, ctx: StepContext, lock_wait: float, conffiles: Conffiles = Conffiles.KEEP) -> "Debian":
        """Return one that may change packages, and waits so many seconds for another program to end."""
        return cls(Apt(ctx, at_work(lock_wait, conffiles), hooks=True, lock_wait=lock_wait))

    def at_leisure(self) -> "Debian":
        """Return one that neither a cancellation nor a deadline that has passed stops."""
        return Debian(replace(self._apt, ctx=replace(self.ctx, cancel=asyncio.Event(), deadline=None)))

    @property
    def ctx(self) -> StepContext:
        """Return the attempt that it works for."""
        return self._apt.ctx

    async def installed(self) -> dict[str, str]:
        """Return the version of every installed package, by name, and by name:arch for foreign ones."""
        form = "${binary:Package}\\t${db:Status-Status}\\t${Version}\\n"
        native = (await self._apt.quiet("dpkg", "--print-architecture")).strip()
        found = {}
        for line in (await self._query(form)).splitlines():
            name, status, version = line.split("\t")
            if status not in ("not-installed", "config-files"):
                found[name.removesuffix(f":{native}").removesuffix(":all")] = version
        return found

    async def held(self) -> set[str]:
        """Return the packages on hold."""
        return set((await self._apt.mark("showhold")).split())

    async def automatic(self) -> set[str]:
        """Return the packages that are marked as dependencies of others."""
        return set((await self._apt.mark("showauto")).split())

    async def unfinished(self) -> list[str]:
        """Return the packages that an earlier run left half done."""
        lines = (await self._query("${binary:Package}\\t${db:Status-Status}\\n")).splitlines()
        broken = [name for name, _, status in (line.partition("\t") for line in lines) if status in _HALF_DONE]
        journal = Path("/var/lib/dpkg/updates")
        if not broken and journal.is_dir() and any(entry.name.isdigit() for entry in journal.iterdir()):
            return ["(the journal of dpkg)"]
        return broken

    async def offered(self, packages: Iterable[str]) -> dict[str, set[str]]:
        """Return the versions that a repository offers now, by name without architecture."""
        return await offered_versions(self._apt, packages)

    async def files(self, packages: Iterable[str]) -> list[str]:
        """Return the paths that dpkg knows of these packages; those that are not installed have none."""
        names = list(packages)
        found: list[str] = []
        for place in range(0, len(names), _FILES_AT_ONCE):
            some = names[place : place + _FILES_AT_ONCE]
            told = await self._apt.quiet("dpkg-query", "--listfiles", *some, tolerate=True)
            found += [line for line in told.splitlines() if line.startswith("/")]
        return found

    def plain_name(self, package: str) -> str:
        """Return the name without its architecture."""
        return bare(package)

    async def newer(self, packages: Sequence[str], *, security_only: bool, full: bool) -> list[PlannedChange]:
        """Return what an upgrade would change; a choice among the packages is simulated again, with what it needs.

        For security it is the newest versions of security archives that are installed, though a newer one may be there.
        """
        if security_only:
            requests = [f"{name}={version}" for name, version in (await self._fixes(packages)).items()]
            return await simulate(self._apt, "--no-install-recommends", "install", *requests) if requests else []
        changes = await simulate(self._apt, *(("dist-upgrade",) if full else ("upgrade", "--with-new-pkgs")))
        if not packages:
            return changes
        names = {bare(name) for name in packages}
        some = [change for change in changes if change.after and change.before and bare(change.package) in names]
        if not some:
            return []
        versions = (f"{change.package}={change.after}" for change in some)
        return await simulate(self._apt, "--no-install-recommends", "install", *versions)

    async def wanted(self, requests: Sequence[str], *, recommends: bool, downgrade: bool) -> list[PlannedChange]:
        """Return what installing these would change."""
        flags = ["--install-recommends" if recommends else "--no-install-recommends"]
        flags += ["--allow-downgrades"] if downgrade else []
        return await simulate(self._apt, "-y", *flags, "install", *requests) if requests else []

    async def with_details(self, changes: Sequence[PlannedChange]) -> list[PlannedChange]:
        """Add sizes, and whether the present versions can still be had."""
        return await with_details(self._apt, changes)

    async def refresh(self) -> None:
        """Fetch the lists of packages, all or none."""
        await self._apt.get(*_EVERY_LIST)

    async def make(
        self, changes: Sequence[PlannedChange | PackageChange], *, downgrade: bool = False, change_held: bool = False
    ) -> None:
        """Install and remove exactly these versions; apt takes all of them for asked for."""
        wanted = [f"{c.package}={c.after}" if c.after else f"{c.package}-" for c in changes]
        flags = ["--no-install-recommends"]
        flags += ["--allow-downgrades"] if downgrade else []
        flags += ["--allow-change-held-packages"] if change_held else []
        async with status_pipe(self.ctx) as status:
            await self._apt.get(
                "-y", *flags, "-o", f"APT::Status-Fd={status}", "install", *wanted, pass_fds=[status],
            )  # fmt: skip

    async def mark_automatic(self, packages: Iterable[str]) -> list[str]:
        """Mark those of them that are installed as dependencies; return the ones that were not marked so."""
        there, marked = await self.installed(), await self.automatic()
        todo = sorted(name for name in set(packages) if name in there and name not in marked)
        if todo:
            async with self._locked() as env:
                await self._apt.mark("auto", *todo, env=env)
        return todo

    async def hold(self, packages: Sequence[str], *, held: bool) -> None:
        """Hold these packages, or let them go."""
        async with self._locked() as env:
            await self._apt.mark("hold" if held else "unhold", *packages, env=env)

    async def wait_for_others(self) -> None:
        """Wait until no other program changes packages."""
        async with self._locked():
            pass

    async def finish(self) -> list[str]:
        """Configure what an earlier run left half done, by the same policy for conffiles; return what that was."""
        # Under the lock: what another program is at work on looks just like what an earlier run left.
        async with self._locked() as env:
            broken = await self.unfinished()
            if broken:
                self.ctx.log(f"finishing what was cut off: {', '.join(broken[:20])}")
                await self._apt.quiet("dpkg", *self._apt.dpkg_flags, "--configure", "-a", env=env)
        return broken

    async def mend(self) -> None:
        """Have apt fix what is broken."""
        await self._apt.get("-y", "--fix-broken", "install")

    def _locked(self) -> AbstractAsyncContextManager[Mapping[str, str]]:
        return frontend_lock(self.ctx, self._apt.lock_wait)

    async def _fixes(self, packages: Sequence[str]) -> dict[str, str]:
        names = {bare(name) for name in packages}
        left_alone = await self.held()
        there = [name for name in await self.installed() if name not in left_alone]
        chosen = sorted(name for name in there if not names or bare(name) in names)
        if not chosen:
            return {}
        archives = security_archives(await self._apt.policy())
        return fixes(await self._apt.policy(*chosen), archives)

    async def _query(self, form: str) -> str:
        return await self._apt.quiet("dpkg-query", "--show", f"--showformat={form}", tolerate=True)
