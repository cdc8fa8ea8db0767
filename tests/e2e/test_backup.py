"""A lost coordinator comes back from its own backup; a host that knows its owner wants the owner's word for it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeFleet
from tests.fleet.books import read_rows
from tests.fleet.fleet import Fleet
from tests.fleet.process import program
from tests.unit.audit import third_party

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def went_on(fleet: Fleet, work: Path, name: str) -> None:
    """Run a step on every host; it leaves a line behind each time that it is started."""
    fleet.run("exec", "-l", "name=one|two", "--yes", "--", "sh", "-c", f"echo {name} >> {work}/$$.{name}")


def state_of(fleet: Fleet, host: str) -> str:
    return str(next(each["state"] for each in fleet.list_hosts() if each["name"] == host))


def test_a_lost_coordinator_comes_back_and_hosts_go_back_with_the_owners_word(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    fleet = make_fleet("one", "two")
    work = tmp_path / "work"
    work.mkdir()
    owner, age = tmp_path / "owner", tmp_path / "key.txt"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", owner], check=True)
    subprocess.run(["age-keygen", "-o", age], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", age], check=True, capture_output=True, text=True).stdout.strip()
    trust = [program("pilotage-agent"), "owner", "add", f"{owner}.pub", "--state-dir", str(fleet.state_of("one"))]
    subprocess.run(trust, check=True, capture_output=True, env=fleet.environment)

    went_on(fleet, work, "before")
    backup = tmp_path / "pilotage.tar.age"
    made = fleet.json("backup", "create", "-r", recipient, "-o", str(backup))
    went_on(fleet, work, "after")
    # A greeting shows hosts the newest head; the next one would come within a minute by itself.
    assert fleet.coordinator.terminate() == 0
    fleet.start_coordinator()
    fleet.await_online()
    lost = fleet.json("audit", "verify")
    assert {each["host"] for each in lost["witnesses"]} == {"one", "two"}
    assert lost["head"]["sequence"] > made["audit_sequence"]

    fleet.coordinator.kill()
    restore = ("backup", "restore", str(backup), "--identity", str(age), "--state-dir", str(fleet.state))
    assert "not empty" in fleet.run(*restore, check=False).stderr
    shutil.rmtree(fleet.state)
    fleet.run(*restore)
    fleet.start_coordinator()
    fleet.await_online(["two"])
    assert not (fleet.state / "restored").exists()
    log = fleet.folder / "logs" / "one.log"
    fleet.until("the host that knows its owner says what it waits for", lambda: "backup accept" in log.read_text())
    assert state_of(fleet, "one") != "online"

    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    fleet.run("backup", "accept", "--key", str(stranger), "--yes")
    assert state_of(fleet, "one") != "online"
    fleet.run("backup", "accept", "--key", str(owner), "--yes")
    fleet.await_online()
    went_on(fleet, work, "again")

    starts = sorted(each.suffix for each in work.iterdir())
    assert starts == [".after"] * 2 + [".again"] * 2 + [".before"] * 2
    assert all(each.read_text().count("\n") == 1 for each in work.iterdir())
    # What hosts have seen, they tell in their greetings.
    assert fleet.coordinator.terminate() == 0
    fleet.start_coordinator()
    fleet.await_online()
    verdict = fleet.json("audit", "verify")
    assert (verdict["sound"], {each["host"] for each in verdict["witnesses"]}) == (True, {"one", "two"})
    assert verdict["key_fingerprint"] == lost["key_fingerprint"]
    assert fleet.run("doctor", check=False).stdout.count("hosts have seen entries") == 0
    operations = [operation for (operation,) in read_rows(fleet, "SELECT operation FROM audit_log ORDER BY sequence")]
    assert (operations.count("coordinator.recovery"), operations.count("recovery.sign")) == (1, 2)
    exported = tmp_path / "audit.jsonl"
    fleet.run("audit", "export", "-o", str(exported))
    assert third_party.problem(exported.read_bytes(), verdict["key_fingerprint"]) == ""
    # What the lost coordinator had shown stands on no log of this one.
    seen = f"{lost['head']['sequence']}:{lost['head']['hash']}"
    assert fleet.run("audit", "verify", "--head", seen, check=False).returncode == 1


def test_a_database_that_was_put_back_by_hand_serves_nobody(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one")
    assert fleet.coordinator.terminate() == 0
    copy = tmp_path / "copy.db"
    shutil.copy(fleet.state / "pilotage.db", copy)
    fleet.start_coordinator()
    fleet.await_online()
    fleet.run("host", "token", "other")
    for _ in range(2):
        assert fleet.coordinator.terminate() == 0
        fleet.start_coordinator()
        fleet.await_online()
    assert fleet.coordinator.terminate() == 0
    for file in fleet.state.glob("pilotage.db*"):
        file.unlink()
    shutil.copy(copy, fleet.state / "pilotage.db")
    # Its epoch is raised by hand, so that only the audit log tells.
    with_epoch = "UPDATE meta SET epoch = epoch + 100"
    subprocess.run(["python3", "-c", f"import sqlite3; c=sqlite3.connect({str(fleet.state / 'pilotage.db')!r}); "
                    f"c.execute({with_epoch!r}); c.commit()"], check=True)  # fmt: skip
    fleet.start_coordinator()
    log = fleet.folder / "logs" / "one.log"
    fleet.until("the host is refused", lambda: "audit log" in log.read_text())
    assert state_of(fleet, "one") != "online"
