"""Locks in a repository: whose they are, and which of them may be removed.

restic's own `unlock` removes the locks of this host whose process is gone, and every lock that was not renewed for
half an hour, whoever holds it. By the clock of a host that is wrong by half an hour, every living lock looks like
the second kind. So the locks are read first, and `unlock` is asked for only when all that it would remove may go.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pilotage_plugin_api import InfrastructureFailed

from pilotage_plugins.backup.moment import parse_time
from pilotage_plugins.backup.repository import Unlock, masked

LOOKS_EXPIRED: Final = timedelta(minutes=25)
"""restic calls a lock stale after 30 minutes; one that is near it may get there between our look and the removal."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock: who holds it, and when it was renewed last."""

    host: str
    pid: int
    user: str
    exclusive: bool
    renewed: datetime

    def told(self, now: datetime) -> str:
        """Describe it for people."""
        age = max(0, round((now - self.renewed).total_seconds()))
        kind = "exclusively " if self.exclusive else ""
        return f"{kind}by process {self.pid} of {self.user} on {self.host}, renewed {age} s ago"


def read_lock(content: dict[str, Any]) -> Lock:
    """Read what `restic cat lock` prints; raises KeyError, TypeError or ValueError for anything else."""
    return Lock(
        host=str(content["hostname"]),
        pid=int(content["pid"]),
        user=str(content.get("username") or "?"),
        exclusive=bool(content["exclusive"]),
        renewed=parse_time(content["time"]),
    )


def removable(
    locks: Sequence[Lock], policy: Unlock, here: str, alive: Callable[[int], bool], now: datetime
) -> tuple[bool, str]:
    """Say whether `restic unlock` may be run now, and why.

    It may when it would remove something, and nothing that the policy protects.
    """
    gone = [lock for lock in locks if lock.host == here and not alive(lock.pid)]
    expired = [lock for lock in locks if lock not in gone and now - lock.renewed > LOOKS_EXPIRED]
    if policy is Unlock.NEVER:
        return False, "unlock: never"
    if expired and policy is not Unlock.EXPIRED:
        return False, f"a lock that may be dead is held {expired[0].told(now)}"
    if gone or expired:
        return True, f"left behind {(gone + expired)[0].told(now)}"
    return False, "every lock is held by a living restic"


def still_locked(repository: str, locks: Iterable[Lock], policy: Unlock, waited: float) -> InfrastructureFailed:
    """Return the error for a lock that stayed in the way."""
    now = datetime.now(UTC)
    held = list(locks)
    by = "; ".join(lock.told(now) for lock in held[:3]) or "by somebody who has let it go by now"
    fix = "wait for it, or raise lock_wait"
    if policy is not Unlock.EXPIRED and any(now - lock.renewed > LOOKS_EXPIRED for lock in held):
        fix = "when you know that this process is dead, run `restic unlock` there, or set unlock: expired"
    return InfrastructureFailed(
        f"the repository {masked(repository)} stayed locked for {waited:.0f} s: {by}. To go on, {fix}"
    )


def process_lives(pid: int) -> bool:
    """Whether a process with this id lives on this host, a stranger that took the number included; one that has ended
    and that nobody has taken note of yet (a zombie) does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return pid > 0 and not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    # The name in brackets may hold anything, brackets and blanks too.
    return said.rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])
