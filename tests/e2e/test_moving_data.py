"""Data of real hosts: from one to another through restic, and back to a snapshot when something risky fails."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fleet.books import violations
from tests.fleet.fleet import Fleet
from tests.integration.everything import make_everything, picture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MOVE = """
pilotage: 1
workflows:
  move:
    version: "1.0.0"
    parameters:
      path: {type: string, required: true}
      target: {type: string, required: true}
      repository: {type: string, required: true}
    steps:
      - id: open
        type: backup.init
        targets: {hosts: [db1]}
        parameters: &vault {repository: "${{ parameters.repository }}", password: "secret://backup/password"}
      - id: send
        type: transfer
        dependencies: [open]
        targets: {hosts: [db1]}
        parameters:
          repository: "${{ parameters.repository }}"
          path: "${{ parameters.path }}"
      - id: receive
        type: transfer
        action: receive
        dependencies: [send]
        targets: {hosts: [web1]}
        parameters:
          repository: "${{ parameters.repository }}"
          sent: "${{ first(pluck(steps.send.results, 'outputs.sent')) }}"
          target: "${{ parameters.target }}"
"""

CLASSIC = """
workflows:
  careful:
    version: "1.0.0"
    targets: {hosts: [db1]}
    steps:
      - {id: allocate, type: resource_allocation, parameters: {cpu_cores: 0.1, memory_gb: 0, disk_gb: 0}}
      - {id: keep, type: snapshot, dependencies: [allocate]}
      - id: risky
        type: maintenance
        dependencies: [keep]
        parameters: {shell: true, argv: ['rm "$1/text" && echo broken > "$1/empty" && exit 3', "PATH_OF_DATA"]}
    rollback_plan:
      enabled: true
      actions:
        - {id: back, type: snapshot}
        - {id: release, type: resource_allocation}
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed on this machine: apt-get install restic")
    fleet = Fleet(tmp_path_factory.mktemp("moving"), ("db1", "web1"))
    try:
        fleet.start_coordinator()
        for host in fleet.hosts:
            fleet.join(host)
        fleet.await_online()
        for host in fleet.hosts:
            fleet.data_of(host).parent.mkdir(parents=True, exist_ok=True)
        make_everything(fleet.data_of("db1"))
        fleet.run("secret", "set", "backup/password", "--any", input="of no use elsewhere\n")
        fleet.run("host", "set", "db1", "--var", f"snapshot_path={fleet.data_of('db1')}")
        yield fleet
        fleet.stop()
        assert violations(fleet) == []
    finally:
        fleet.stop()


def start(fleet: Fleet, text: str, *parameters: str, code: int) -> Any:
    """Run a blueprint to its end, and return the run as it ended."""
    file = fleet.folder / "blueprint.yaml"
    file.write_text(text)
    given = [word for each in parameters for word in ("-p", each)]
    done = fleet.run("--json", "run", "start", "-f", str(file), "--yes", *given, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return fleet.call(lambda client: client.show_run(json.loads(done.stdout)["id"]))


def test_two_steps_move_data_from_one_host_to_another(fleet: Fleet) -> None:
    source, target = fleet.data_of("db1"), fleet.data_of("web1") / "arrived"
    target.parent.mkdir()
    vault = f"repository={fleet.folder / 'vault'}"
    start(fleet, MOVE, f"path={source}", f"target={target}", vault, code=0)
    assert picture(target) == picture(source)


def test_the_classic_form_goes_back_to_its_snapshot_when_something_fails(fleet: Fleet) -> None:
    data = fleet.data_of("db1")
    before = picture(data)
    run = start(fleet, CLASSIC.replace("PATH_OF_DATA", str(data)), code=1)
    assert run["state"] == "rolled_back", run["reason"]
    assert picture(data) == before
    assert len(list(data.parent.glob(".pilotage-snapshots/*/data"))) == 2, "the snapshot, and what failed beside it"
