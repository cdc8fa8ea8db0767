"""A coordinator goes back to an online backup of its database, with agents that know better."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeFleet
from tests.e2e.test_faults import STEP, await_state, shown, starts
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


def back_up(fleet: Fleet, to: Path) -> None:
    """Copy the coordinator's database while it runs."""
    with (
        closing(sqlite3.connect(f"file:{fleet.state / 'pilotage.db'}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(to)) as copy,
    ):
        live.backup(copy)


def restore(fleet: Fleet, copy: Path) -> None:
    """Put a copy in the place of the database, and start the coordinator over it as the manual says."""
    for file in fleet.state.glob("pilotage.db*"):
        file.unlink()
    (fleet.state / "pilotage.db").write_bytes(copy.read_bytes())
    fleet.coordinator.command = [*fleet.coordinator.command, "--after-restore"]
    fleet.start_coordinator()


def test_nothing_is_started_twice_and_what_the_copy_has_forgotten_is_told(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    fleet = make_fleet("one", "two")
    forgotten, ended, running = (tmp_path / name for name in ("forgotten", "ended", "running"))
    for work in (forgotten, ended, running):
        work.mkdir()

    def start(source: str, work: Path, **more: Any) -> str:
        given = {"work": str(work), **more}
        return fleet.call(lambda client: client.start_run(source=source, parameters=given))["execution"]

    # In the copy: one that waits at its gate, one that has begun and goes on all the while.
    gated = start(TWO, ended)
    long = start(STEP, running, sleep="25s")
    fleet.until("the step runs", lambda: (running / "start").exists())
    await_state(fleet, gated, "waiting_approval")
    back_up(fleet, tmp_path / "copy.db")

    # Not in the copy: the rest of the first, and an execution whose end the lost coordinator never hears.
    fleet.run("run", "release", gated, "look")
    assert await_state(fleet, gated, *ENDED)["state"] == "completed"
    unknown = start(STEP, forgotten, sleep="8s")
    fleet.until("the step runs", lambda: (forgotten / "start").exists())
    assert fleet.coordinator.terminate() == 0

    restore(fleet, tmp_path / "copy.db")
    fleet.await_online()
    told = next(each for each in fleet.call(lambda client: client.examine())["items"] if each["check"] == "restore")
    assert "attempts that the backup does not know: 1 on one" in told["detail"], told
    listed = {each["id"]: each["state"] for each in fleet.json("run", "list")}
    assert unknown not in listed
    assert set(listed) == {gated, long}
    assert set(listed.values()) <= {"paused", "pausing"}

    # What ran on all the while ends well, once somebody has said that it may.
    fleet.call(lambda client: client.resume_run(long))
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
