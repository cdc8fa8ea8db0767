"""The shipped `quick_backup` and `fleet_backup_orchestration` with real hosts and the real restic, however they end."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.fleet.small_disk import small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOSTS = ("db1", "web1", "away1")
AWAY = "away1"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three hosts with a file each; one of them was there and is away."""
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed on this machine: apt-get install restic")
    fleet = Fleet(tmp_path_factory.mktemp("backups"), HOSTS)
    try:
        fleet.start_coordinator()
        for host in HOSTS:
            fleet.join(host)
        fleet.await_online()
        fleet.agents[AWAY].stop()
        for host in HOSTS:
            data = fleet.data_of(host)
            data.mkdir(parents=True)
            (data / "precious").write_text(f"of {host}\n")
            fleet.run("host", "set", host, "--var", f"backup_roots={json.dumps([str(data)])}")
        fleet.run("secret", "set", "backup/password", "--any", input="of no use elsewhere\n")
        yield fleet
        fleet.stop()
        assert violations(fleet) == []
    finally:
        fleet.stop()


def start(fleet: Fleet, blueprint: str, *parameters: str, code: int) -> Any:
    """Start a blueprint, see its exit code, and return the run as it ended."""
    given = [word for each in parameters for word in ("-p", each)]
    done = fleet.run("--json", "run", "start", blueprint, "--yes", *given, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return fleet.call(lambda client: client.show_run(json.loads(done.stdout)["id"]))


def restored(fleet: Fleet, repository: Path, host: str) -> str:
    """Bring a host's newest backup back with plain restic, and return what its file says."""
    place = fleet.folder / "restored" / repository.name / host
    subprocess.run(
        [
            "restic",
            "-r",
            str(repository),
            "restore",
            "latest",
            "--path",
            str(fleet.data_of(host)),
            "--target",
            str(place),
        ],
        env={
            **fleet.environment,
            "RESTIC_PASSWORD": "of no use elsewhere",
            "RESTIC_CACHE_DIR": str(fleet.folder / "c"),
        },
        check=True,
        capture_output=True,
    )
    return Path(f"{place}{fleet.data_of(host)}/precious").read_text()


def test_a_quick_backup_is_there_for_plain_restic(fleet: Fleet) -> None:
    vault = fleet.folder / "quick"
    run = start(fleet, "quick_backup", f"paths={fleet.data_of('db1')}", f"repository={vault}", "hosts=db1", code=0)
    assert {(each["step"], each["state"]) for each in run["runs"]} == {
        (step, "succeeded") for step in ("open", "save", "verify", "drill")
    }
    assert restored(fleet, vault, "db1") == "of db1\n"


def test_a_fleet_backup_that_backed_up_nothing_has_failed(fleet: Fleet) -> None:
    run = start(fleet, "fleet_backup_orchestration", "hosts=db1", "kinds=volumes", "repository=/dev/null/vault", code=1)
    assert (run["state"], run["outputs"]["failed_hosts"]) == ("failed", ["db1"])
    (judged,) = (each for each in run["runs"] if each["step"] == "all_protected")
    assert "not backed up, or not proved: db1 " in judged["error"]


def test_one_host_that_is_away_fails_a_fleet_backup_that_made_all_others(fleet: Fleet) -> None:
    vault = fleet.folder / "shared"
    run = start(fleet, "fleet_backup_orchestration", f"repository={vault}", "kinds=volumes", code=1)
    assert (run["state"], run["outputs"]["failed_hosts"]) == ("failed", [AWAY])
    assert len(run["outputs"]["drilled_hosts"]) == 1
    assert {host: restored(fleet, vault, host) for host in ("db1", "web1")} == {"db1": "of db1\n", "web1": "of web1\n"}


def test_a_host_with_more_data_than_its_own_disk_holds_is_backed_up_and_said_not_to_be_drilled(fleet: Fleet) -> None:
    """A storage server: terabytes to keep, and a small disk for the system."""
    elsewhere = fleet.folder / "big"
    elsewhere.mkdir()
    given = (f"repository={fleet.folder / 'nas'}", "kinds=volumes")
    with small_disk(fleet.state_of("nas1"), 48):
        nas = fleet.add("nas1")
        fleet.join("nas1")
        try:
            fleet.await_online(["nas1"])
            data = fleet.data_of("nas1")
            data.mkdir()
            with (data / "films").open("wb") as films:
                films.truncate(64 * 1024 * 1024)
            fleet.run("host", "set", "nas1", "--var", f"backup_roots={json.dumps([str(data)])}")
            both = start(fleet, "fleet_backup_orchestration", "hosts=nas1,db1", *given, code=0)["outputs"]
            assert (both["backed_up_hosts"], both["failed_hosts"]) == (["db1", "nas1"], [])
            assert (both["drilled_hosts"], both["no_room_to_drill"]) == (["db1"], ["nas1"])

            alone = start(fleet, "fleet_backup_orchestration", "hosts=nas1", *given, code=1)
            assert alone["outputs"]["backed_up_hosts"] == ["nas1"]
            (judged,) = (each for each in alone["runs"] if each["step"] == "all_drilled")
            assert "no host has room for a drill: name a folder on a bigger disk as scratch" in judged["error"]

            fleet.run("host", "set", "nas1", "--var", f"backup_scratch={json.dumps(str(elsewhere))}")
            drilled = start(fleet, "fleet_backup_orchestration", "hosts=nas1", *given, code=0)["outputs"]
            assert (drilled["drilled_hosts"], drilled["no_room_to_drill"]) == (["nas1"], [])
            assert list(elsewhere.iterdir()) == []
        finally:
            nas.stop()


def rollout(fleet: Fleet, path: Path, check: str, *, code: int) -> Any:
    parameters = ("hosts=db1,web1", f"path={path}", "content=new\n", f'check_command=["{check}"]')
    return start(fleet, "config_rollout", *parameters, code=code)


def test_a_configuration_reaches_all_hosts_or_none(fleet: Fleet) -> None:
    """Both hosts of this test share a file system, so that the second finds what the first has written."""
    path = fleet.folder / "site.conf"
    path.write_text("old\n")
    refused = rollout(fleet, path, "/bin/false", code=1)
    assert (refused["state"], path.read_text()) == ("rolled_back", "old\n")
    assert {each["host"] for each in refused["runs"] if each["step"] == "change/write" and each["attempts"]} == {"db1"}
    accepted = rollout(fleet, path, "/bin/true", code=0)
    assert (accepted["outputs"]["changed_hosts"], path.read_text()) == (["db1"], "new\n")
