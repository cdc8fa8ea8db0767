"""Looks at everything that can be wrong with a coordinator, and says what to do."""

import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pilotage_coordinator.domain.schedule.firing import UNSEEN, State
from pilotage_coordinator.runtime.audit_log import AuditLog
from pilotage_coordinator.runtime.clock import SystemClock
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.restoration import Restoration
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import DeliveryFilter

LEAST_FREE_BYTES = 512 * 1024 * 1024
LARGEST_JUMP = 5_000_000
SOUND_SQLITE = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""Releases that hold the fix of the WAL reset bug (sqlite.org, 2026); the last two within their branches."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `verdict`: ok, warning or failure."""

    check: str
    verdict: str
    detail: str
    fix: str = ""


@dataclass(slots=True)
class Doctor:
    """The checks."""

    store: Store
    audit: AuditLog
    inventory: LiveInventory
    clock: SystemClock
    state_dir: Path
    epoch: int = 0
    highest_epoch: Callable[[], int] = int
    """The highest epoch that an agent has reported."""
    contradicting: Callable[[], Iterable[str]] = tuple
    """Hosts that have seen what is not in the audit log."""
    restoration: Restoration | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    """Executions that are not over and cannot be read, and why."""

    async def examine(self) -> Sequence[Finding]:
        """Run every check; a check that breaks is a finding, never an error."""
        checks: tuple[tuple[str, Callable[[], Awaitable[Finding]]], ...] = (
            ("database", self._database),
            ("sqlite", self._sqlite),
            ("audit log", self._audit),
            ("coordinator disk", self._disk),
            ("clock", self._clock),
            ("hosts", self._hosts),
            ("plugins", self._plugins),
            ("restore", self._restore),
            ("executions", self._executions),
            ("notifications", self._notifications),
            ("schedules", self._schedules),
        )
        found = []
        for name, check in checks:
            try:
                found.append(await check())
            except Exception as error:
                found.append(Finding(name, "failure", f"the check itself failed: {error!r}"))
        return found

    async def _database(self) -> Finding:
        figures = self.store.figures()
        if figures.refusal:
            fix = "make room, or mend the disk: nothing acknowledged is lost, and all goes on by itself within a minute"
            return Finding("database", "failure", f"it cannot store anything now: {figures.refusal}", fix)
        detail = f"epoch {await self.store.epoch()}, {figures.writes} writes in {figures.transactions} transactions"
        return Finding("database", "ok", detail)

    async def _sqlite(self) -> Finding:
        found = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
        sound = found >= SOUND_SQLITE[0] or any(found[:2] == each[:2] and found >= each for each in SOUND_SQLITE[1:])
        detail = f"SQLite {sqlite3.sqlite_version}"
        if sound:
            return Finding("sqlite", "ok", detail)
        return Finding(
            "sqlite",
            "ok",
            f"{detail} has the WAL bug of releases before 3.51.3; one writing connection alone checkpoints, "
            "which avoids it",
        )

    async def _audit(self) -> Finding:
        verdict = await self.audit.verify()
        if verdict.fault:
            return Finding("audit log", "failure", verdict.fault, "somebody changed the database; keep a copy of it")
        return Finding("audit log", "ok", f"{verdict.checked} entries, unbroken chain, signed")

    async def _disk(self) -> Finding:
        free = shutil.disk_usage(self.state_dir).free
        detail = f"{free // (1024 * 1024)} MiB free in {self.state_dir}"
        if free < LEAST_FREE_BYTES:
            return Finding(
                "coordinator disk", "failure", detail, "make room: without it nothing can be recorded, so nothing runs"
            )
        return Finding("coordinator disk", "ok", detail)

    async def _clock(self) -> Finding:
        jumped = self.clock.wall_difference()
        if abs(jumped) > LARGEST_JUMP:
            seconds = jumped / 1_000_000
            return Finding(
                "clock",
                "warning",
                f"the machine's clock was set {seconds:+.0f} s away while the coordinator ran",
                "restart the coordinator when no step is waiting for a time",
            )
        return Finding("clock", "ok", "not set since the start")

    async def _hosts(self) -> Finding:
        hosts = self.inventory.snapshot()
        away = [host.name for host in hosts.values() if not host.online]
        quarantined = [row.name for row in await self.store.hosts.all() if row.quarantine]
        if quarantined:
            shown = ", ".join(quarantined[:10]) + (" …" if len(quarantined) > 10 else "")
            fix = "pilotage host show NAME says why; then pilotage host release or pilotage host revoke"
            return Finding("hosts", "failure", f"in quarantine, without work: {shown}", fix)
        if not hosts:
            return Finding("hosts", "warning", "no host has joined", "pilotage host token")
        detail = f"{len(hosts) - len(away)} of {len(hosts)} online"
        if away:
            shown = ", ".join(away[:10]) + (" …" if len(away) > 10 else "")
            return Finding("hosts", "warning", f"{detail}; offline: {shown}", "systemctl status pilotage-agent there")
        return Finding("hosts", "ok", detail)

    async def _executions(self) -> Finding:
        if not self.unread:
            return Finding("executions", "ok", "all that are under way could be read")
        shown = "; ".join(f"{execution}: {reason[:200]}" for execution, reason in sorted(self.unread.items())[:5])
        more = f" and {len(self.unread) - 5} more" if len(self.unread) > 5 else ""
        return Finding(
            "executions",
            "failure",
            f"under way, and cannot be read: {shown}{more}",
            "they are tried again by themselves, at least once a minute, and agents keep their results until then; "
            "if it stays, the coordinator's log says more: mend the disk, or start the version that wrote them",
        )

    async def _notifications(self) -> Finding:
        figures = await self.store.deliveries.figures()
        if figures.dead:
            (newest,) = (await self.store.deliveries.find(DeliveryFilter(status="dead"), limit=1)).rows
            lost = newest.notification
            return Finding(
                "notifications",
                "warning",
                f"{figures.dead} could not be delivered; the newest, {lost.id} to {lost.channel}: {newest.error}",
                "pilotage notification list --state dead; mend the channel, then: pilotage notification retry ID",
            )
        if figures.failing:
            detail = f"{figures.waiting} wait for delivery, {figures.failing} of them have failed so far"
            fix = "pilotage notification list --state waiting says why; they are tried again by themselves"
            return Finding("notifications", "warning", detail, fix)
        return Finding("notifications", "ok", f"{figures.waiting} wait for delivery, none has failed")

    async def _schedules(self) -> Finding:
        standing, next_due = await self.store.schedules.standing(), await self.store.schedules.soonest(1)
        stopped = [row for row in standing if row.state == State.STOPPED]
        if stopped:
            names = ", ".join(row.name for row in stopped[:10])
            detail = f"{len(stopped)} stopped: {names}; {stopped[0].name}: {stopped[0].note}"
            fix = "pilotage schedule update NAME, run by who shall own it; or enable the owner, then the schedule"
            return Finding("schedules", "warning", detail, fix)
        if unseen := [row for row in standing if row.note.startswith(UNSEEN)]:
            names = ", ".join(row.name for row in unseen[:10])
            detail = f"{len(unseen)} wait for their owners: {names}; {unseen[0].name}: {unseen[0].note}"
            fix = "pilotage blueprint show ID; then its owner runs: pilotage schedule resume NAME"
            return Finding("schedules", "warning", detail, fix)
        return Finding("schedules", "ok", "none is stopped" if next_due else "there is none with a time to come")

    async def _restore(self) -> Finding:
        if self.highest_epoch() > self.epoch:
            return Finding(
                "restore",
                "failure",
                f"a host has seen epoch {self.highest_epoch()}, this coordinator is at {self.epoch}: it is older",
                "stop it, and start it once with: pilotage coordinator serve --after-restore",
            )
        if contradicting := sorted(set(self.contradicting()) - set(self.audit.witnessed())):
            return Finding(
                "restore",
                "failure",
                f"hosts have seen entries of the audit log that are not in it: {', '.join(contradicting[:10])}",
                "if this coordinator was restored: start it once with --after-restore, then: pilotage backup accept; "
                "if not, somebody put the database back or edited it: keep a copy",
            )
        if self.restoration is None:
            return Finding("restore", "ok", "no host knows a newer coordinator")
        unknown, awaited = self.restoration.unknown, sorted(self.restoration.awaited)
        detail = f"restored from a backup; {len(awaited)} hosts have not told yet what they ran"
        if awaited:
            detail += f": {', '.join(awaited[:10])}" + (" …" if len(awaited) > 10 else "")
        if unknown:
            found = ", ".join(f"{count} on {host}" for host, count in sorted(unknown.items())[:10])
            detail += f"; attempts that the backup does not know: {found} (named in the audit log)"
        return Finding(
            "restore",
            "warning",
            detail,
            "look at each execution that is held (pilotage run list --state paused), then: pilotage run resume",
        )

    async def _plugins(self) -> Finding:
        broken = [
            f"{host.name}: {plugin}: {reason}"
            for host in self.inventory.snapshot().values()
            for plugin, reason in host.quarantined.items()
        ]
        dissent = self.inventory.catalogue().dissenters
        broken += [f"{name}: another one on {', '.join(hosts[:5])}" for name, hosts in sorted(dissent.items())]
        if broken:
            return Finding(
                "plugins", "warning", "; ".join(broken[:5]), "mend, upgrade or uninstall the plugin on that host"
            )
        return Finding("plugins", "ok", f"{len(self.inventory.step_types())} step types offered")
