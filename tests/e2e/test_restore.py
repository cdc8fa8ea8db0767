"""A coordinator goes back to an online backup of its database, with agents that know better."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pilotage_client.answers import Finding

from tests.e2e.conftest import MakeFleet
from tests.e2e.test_faults import await_state, shown, starts
from tests.fleet.fleet import ENDED, Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TWO = """
pilotage: 1
workflows:
  two:
    version: "1.0.0"
    parameters: {work: {type: string, required: true}}
    targets: {hosts: [one]}
    steps:
      - {id: look, type: gate.pause, parameters: {message: go on}}
      - id: step
        type: dummy.once
        dependencies: [look]
        parameters: {write: "${{ parameters.work }}/start"}
      - id: last
        type: dummy.once
        dependencies: [step]
        parameters: {write: "${{ parameters.work }}/last"}
"""


UNTIL_TOLD = """
pilotage: 1
workflows:
  until_told:
    version: "1.0.0"
    parameters: {work: {type: string, required: true}}
    targets: {hosts: [one]}
    steps:
      - id: step
        type: command.run
        parameters:
          argv:
            - sh
            - -c
            - cd "$1" && echo begun >> start; until [ -e go ]; do sleep 0.1; done
            - sh
            - "${{ parameters.work }}"
"""


def back_up(fleet: Fleet, to: Path) -> None:
    """Copy the coordinator's database while it runs."""
    with (
        closing(sqlite3.connect(f"file:{fleet.state / 'pilotage.db'}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(to)) as copy,
    ):
        live.backup(copy)


def restore(fleet: Fleet, copy: Path) -> None:
    """Put a copy in the place of the database, and start the coordinator over it as the manual says: once without the
    option, by mistake, and then with it."""
    for file in fleet.state.glob("pilotage.db*"):
        file.unlink()
    (fleet.state / "pilotage.db").write_bytes(copy.read_bytes())
    fleet.start_coordinator()
    fleet.until("the coordinator knows that it is older", lambda: examined(fleet, "restore")["verdict"] == "failure")
    assert fleet.coordinator.terminate() == 0
    fleet.coordinator.command = [*fleet.coordinator.command, "--after-restore"]
    fleet.start_coordinator()


def examined(fleet: Fleet, check: str) -> Finding:
    """Return what the doctor says of one thing."""
    found = fleet.call(lambda client: client.examine())["items"]
    return next(each for each in found if each["check"] == check)


def heard_none(fleet: Fleet) -> list[str]:
    """Return the hosts that the restored coordinator did not hear before it began its epoch."""
    with closing(sqlite3.connect(f"file:{fleet.state / 'pilotage.db'}?mode=ro", uri=True)) as database:
        (entry,) = database.execute("SELECT detail FROM audit_log WHERE operation = 'coordinator.restore'").fetchone()
    return list(json.loads(entry)["not_heard"])


def test_nothing_is_started_twice_and_what_the_copy_has_forgotten_is_told(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    fleet = make_fleet("one", "two")
    forgotten, ended, running = (tmp_path / name for name in ("forgotten", "ended", "running"))
    for work in (forgotten, ended, running):
        work.mkdir()

    def start(source: str, work: Path) -> str:
        return fleet.call(lambda client: client.start_run(source=source, parameters={"work": str(work)}))["execution"]

    # In the copy: one that waits at its gate, one that has begun and goes on all the while.
    gated = start(TWO, ended)
    long = start(UNTIL_TOLD, running)
    fleet.until("the step runs", lambda: (running / "start").exists())
    await_state(fleet, gated, "waiting_approval")
    back_up(fleet, tmp_path / "copy.db")

    # Not in the copy: the rest of the first, and an execution whose end the lost coordinator never hears.
    fleet.run("run", "release", gated, "look")
    assert await_state(fleet, gated, *ENDED)["state"] == "completed"
    for _ in range(2):
        # Each start begins an epoch: the hosts have seen one that the copy's next start does not come to.
        assert fleet.coordinator.terminate() == 0
        fleet.start_coordinator()
        fleet.await_online()
    unknown = start(UNTIL_TOLD, forgotten)
    fleet.until("the step runs", lambda: (forgotten / "start").exists())
    assert fleet.coordinator.terminate() == 0
    (forgotten / "go").touch()

    restore(fleet, tmp_path / "copy.db")
    fleet.await_online()
    assert heard_none(fleet) == []
    told = examined(fleet, "restore")
    assert "attempts that the backup does not know: 1 on one" in told["detail"], told
    listed = {each["id"]: each["state"] for each in fleet.json("run", "list")}
    assert unknown not in listed
    assert set(listed) == {gated, long}
    assert set(listed.values()) <= {"paused", "pausing"}

    # What ran on all the while ends well, once somebody has said that it may.
    fleet.call(lambda client: client.resume_run(long))
    (running / "go").touch()
    assert await_state(fleet, long, *ENDED)["state"] == "completed"

    # What the copy has not seen happen is not done once more: a person says what became of it.
    fleet.call(lambda client: client.resume_run(gated))
    fleet.until("the gate is open", lambda: bool(shown(fleet, gated)["gates"]))
    fleet.run("run", "release", gated, "look")
    for step in ("step", "last"):
        await_state(fleet, gated, "needs_attention")
        fleet.run("run", "resolve", gated, step, "--host", "one", "--as", "succeeded", "--comment", "it was done")
    assert await_state(fleet, gated, *ENDED)["state"] == "completed"
    assert (starts(forgotten), starts(ended), starts(running)) == (1, 1, 1)
    assert len((ended / "last").read_text().splitlines()) == 1

    # Work goes on as ever.
    assert fleet.run("exec", "-l", "name=one", "--yes", "--", "true").returncode == 0
