"""Which locks of a repository may be removed."""

import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from pilotage_plugin_api import InfrastructureFailed
from pilotage_plugins.backup.locks import Lock, process_lives, read_lock, removable, still_locked
from pilotage_plugins.backup.repository import Unlock

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


def lock(host: str = "here", pid: int = 1, minutes: float = 0.0) -> Lock:
    return Lock(host, pid, "root", exclusive=False, renewed=NOW - timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("locks", "policy", "allowed", "why"),
    [
        ([], Unlock.OWN, False, "living"),
        ([lock(pid=2)], Unlock.OWN, True, "left behind by process 2"),
        ([lock(pid=2)], Unlock.EXPIRED, True, "left behind"),
        ([lock(pid=2)], Unlock.NEVER, False, "never"),
        ([lock(pid=1)], Unlock.OWN, False, "living"),
        ([lock("there", pid=2)], Unlock.OWN, False, "living"),
        ([lock("there", pid=2, minutes=40)], Unlock.OWN, False, "may be dead is held by process 2 of root on there"),
        ([lock("there", pid=2, minutes=40)], Unlock.EXPIRED, True, "left behind"),
        # `restic unlock` would remove the second one with the first: a stranger's, which our clock may misjudge.
        ([lock(pid=2), lock("there", minutes=29)], Unlock.OWN, False, "on there"),
        ([lock(pid=2), lock("there", minutes=10)], Unlock.OWN, True, "left behind"),
        # Its process lives, however old its lock is: suspended, perhaps.
        ([lock(pid=1, minutes=90)], Unlock.OWN, False, "may be dead"),
    ],
)
def test_only_locks_of_this_host_whose_process_is_gone_go_unasked(
    locks: list[Lock], policy: Unlock, allowed: bool, why: str
) -> None:
    answer, reason = removable(locks, policy, "here", lambda pid: pid == 1, NOW)
    assert answer is allowed
    assert why in reason


def test_a_lock_is_read_as_restic_writes_it() -> None:
    content = {"time": "2026-03-01T04:00:00.123456789+01:00", "exclusive": True, "hostname": "db1", "username": "root",
               "pid": 77, "uid": 0, "gid": 0}  # fmt: skip
    read = read_lock(content)
    assert read.told(NOW) == "exclusively by process 77 of root on db1, renewed 3600 s ago"
    with pytest.raises(KeyError):
        read_lock({"time": "2026-03-01T04:00:00Z"})


def test_who_holds_the_lock_is_said_with_the_way_out() -> None:
    now = datetime.now(UTC)
    held = Lock("db2", 5, "root", exclusive=True, renewed=now)
    living = still_locked("rest:http://u:secret@vault/", [held], Unlock.OWN, 3.0)
    assert isinstance(living, InfrastructureFailed)
    assert "db2" in str(living)
    assert "lock_wait" in str(living)
    assert "secret" not in str(living)
    dead = Lock("db2", 5, "root", exclusive=True, renewed=now - timedelta(hours=2))
    assert "unlock: expired" in str(still_locked("/r", [dead], Unlock.OWN, 3.0))


def test_a_process_that_has_ended_does_not_live() -> None:
    child = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process_lives(child.pid), "nobody has taken note of its end yet"
    child.communicate()
    assert process_lives(os.getpid())
    assert not process_lives(child.pid)
