"""A full disk under coordinator or agent while steps run: nothing lost, nothing twice, and on with it when there is space."""  # noqa: E501

from pathlib import Path

import pytest

from tests.e2e.conftest import MakeFleet
from tests.e2e.test_faults import await_state, shown, start, starts
from tests.fleet.books import violations
from tests.fleet.fleet import ENDED, Fleet
from tests.fleet.small_disk import small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MEBIBYTES = 48


def _joined(fleet: Fleet) -> Fleet:
    fleet.start_coordinator()
    fleet.join("one")
    fleet.await_online()
    return fleet


def test_of_the_coordinator(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one", start=False)
    with small_disk(fleet.state, MEBIBYTES) as disk:
        _joined(fleet)
        work = tmp_path / "work"
        work.mkdir()
        execution = start(fleet, work, sleep="1s")
        disk.fill()
        fleet.until("the step ended on its host", lambda: (work / "end").exists())
        fleet.until("the store said no", lambda: "full" in fleet.coordinator.output())
        assert shown(fleet, execution)["state"] == "running"
        refused = fleet.run("exec", "-l", "name=one", "--yes", "--", "true", check=False)
        assert refused.returncode not in (0, 2)
        assert "Traceback" not in refused.stderr
        assert fleet.coordinator.alive
        disk.free()
        assert await_state(fleet, execution, *ENDED)["state"] == "completed"
        assert starts(work) == 1
        assert fleet.run("exec", "-l", "name=one", "--yes", "--", "true").returncode == 0
        fleet.agents["one"].stop()
        fleet.coordinator.stop()
        assert violations(fleet) == []


def test_of_an_agent(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one", start=False)
    with small_disk(fleet.state_of("one"), MEBIBYTES) as disk:
        _joined(fleet)
        first, second = tmp_path / "first", tmp_path / "second"
        first.mkdir()
        second.mkdir()
        running = start(fleet, first, sleep="1s")
        disk.fill()
        fleet.until("the step ended", lambda: (first / "end").exists())
        assert fleet.call(lambda client: client.healthy())
        assert shown(fleet, running)["state"] not in {"failed"}
        disk.free()
        if not fleet.agents["one"].alive:
            # An agent that cannot write its journal ends; its service manager starts it again.
            fleet.agents["one"].start()
        run = await_state(fleet, running, *ENDED, "needs_attention")
        assert run["state"] in {"completed", "needs_attention"}, run
        assert starts(first) == 1
        fleet.await_online()
        later = start(fleet, second)
        assert await_state(fleet, later, *ENDED)["state"] == "completed"
        fleet.agents["one"].stop()
        fleet.coordinator.stop()
        assert violations(fleet) == []
