"""Schedules of a real coordinator that is killed around their times: each has one row and one execution."""

import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import MakeFleet
from tests.fleet.books import read_rows
from tests.fleet.fleet import Fleet

pytestmark = [pytest.mark.e2e]

BLUEPRINT = """
pilotage: 1
workflows:
  sane:
    version: "1.0.0"
    parameters: {days: {type: integer, default: 1}}
    steps:
      - {id: sane, type: validation.assert, parameters: {that: "parameters.days > 0"}}
"""
PLACES = ("coordinator.schedule.started", "coordinator.execution.created", "coordinator.schedule.due")
"""All of it is stored; the execution and its row are, but it has not begun; nothing is. In this order, as what the last
one leaves due would come to the next place while the coordinator starts."""


def _soon() -> str:
    return (datetime.now(UTC) + timedelta(seconds=2)).isoformat(timespec="seconds")


def _create(fleet: Fleet, name: str, **settings: Any) -> Any:
    return fleet.call(lambda client: client.create_schedule(name, "sane", at=_soon(), **settings))


def _ran(fleet: Fleet, name: str) -> bool:
    rows = fleet.call(lambda client: client.list_firings(name))
    return [(row["outcome"], row["execution_state"]) for row in rows] == [("ran", "completed")]


def test_a_kill_at_any_moment_of_a_firing_leaves_one_row_and_one_execution(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(start=False)
    for number, place in enumerate(PLACES):
        fleet.start_coordinator({"PILOTAGE_FAILPOINT": place})
        if number == 0:
            fleet.call(lambda client: client.add_blueprint(BLUEPRINT))
        # Due at once after a restart: its time has passed by then.
        name = place.rpartition(".")[2]
        made = _create(fleet, name, parameters={"days": number + 1})
        assert made["next_run"]
        assert fleet.coordinator.wait(40) == -signal.SIGKILL
    fleet.start_coordinator()
    for place in PLACES:
        name = place.rpartition(".")[2]
        fleet.until(f"{name} ran", lambda name=name: _ran(fleet, name))  # type: ignore[misc]
        (row,) = fleet.json("schedule", "firings", name)
        shown = fleet.json("schedule", "show", name)
        assert (row["nominal"], shown["state"], shown["runs"], shown["next_run"]) == (shown["at"], "finished", 1, "")
    executions = fleet.json("run", "list")
    assert len(executions) == len(PLACES)
    assert {each["requested_by"] for each in executions} == {shown["owner"]}
    assert read_rows(fleet, "SELECT count(*), count(DISTINCT execution) FROM workflow_firings") == [(3, 3)]
    started = "SELECT subject FROM audit_log WHERE operation = 'run.start' AND outcome = 'allowed'"
    assert sorted(each for (each,) in read_rows(fleet, started)) == sorted(each["id"] for each in executions)
