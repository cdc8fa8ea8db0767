"""What goes wrong around whole processes: a clear word, nothing lost, nothing run twice."""

import json
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeFleet
from tests.fleet.books import read_journal, read_rows, violations
from tests.fleet.fleet import ENDED, Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

REFUSAL_SECONDS = 15.0
CUT_OFF_SECONDS = 5.0

STEP = """
pilotage: 1
workflows:
  step:
    version: "1.0.0"
    parameters: {work: {type: string, required: true}, sleep: {type: duration, default: 0s}, hang: {type: boolean, default: false}}
    targets: {hosts: [one]}
    steps:
      - id: step
        type: dummy.once
        parameters: {write: "${{ parameters.work }}/start", finished: "${{ parameters.work }}/end", sleep: "${{ parameters.sleep }}", hang: "${{ parameters.hang }}"}
"""  # noqa: E501 - a blueprint


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One host, for faults that leave the fleet as it was."""
    fleet = Fleet(tmp_path_factory.mktemp("faults"), ("one",))
    try:
        fleet.start_coordinator()
        fleet.join("one")
        fleet.await_online()
        yield fleet
        fleet.stop()
        assert violations(fleet) == []
    finally:
        fleet.stop()


def start(fleet: Fleet, work: Path, **parameters: Any) -> str:
    """Start the one step and wait until it runs."""
    given = {"work": str(work), **parameters}
    execution = fleet.call(lambda client: client.start_run(source=STEP, parameters=given))["execution"]
    fleet.until("the step runs", lambda: (work / "start").exists())
    return execution


def shown(fleet: Fleet, execution: str) -> Any:
    """Return an execution as the coordinator shows it."""
    return fleet.call(lambda client: client.show_run(execution))


def await_state(fleet: Fleet, execution: str, *states: str) -> Any:
    """Wait until an execution is in one of the states, and return it."""
    fleet.until(f"{execution} is {states}", lambda: shown(fleet, execution)["state"] in states)
    return shown(fleet, execution)


def starts(work: Path) -> int:
    """Return how often the step was started."""
    return len((work / "start").read_text().splitlines())


# --- a second process on the same data --------------------------------------------------------------------------


def test_a_second_coordinator_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    second = Fleet(tmp_path, ())
    second.environment["PILOTAGE_STATE_DIR"] = str(fleet.state)
    second.coordinator.start()
    assert second.coordinator.wait(REFUSAL_SECONDS) != 0
    assert f"process {fleet.coordinator.pid}" in second.coordinator.output()
    assert "Traceback" not in second.coordinator.output()
    assert fleet.call(lambda client: client.healthy())


def test_a_second_agent_is_refused(fleet: Fleet) -> None:
    second = Fleet(fleet.folder / "second", ()).add("one", fleet.state_of("one"))
    second.start()
    assert second.wait(REFUSAL_SECONDS) != 0
    assert f"pid {fleet.agents['one'].pid}" in second.output()
    assert fleet.list_hosts()[0]["state"] == "online"


# --- databases that cannot be used ------------------------------------------------------------------------------


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    fleet = _stopped_coordinator(tmp_path)
    with sqlite3.connect(fleet.state / "pilotage.db") as connection:
        connection.execute("INSERT INTO schema_version VALUES (9999, 'from the future', 0)")
    connection.close()
    before = read_rows(fleet, "SELECT * FROM schema_version")
    fleet.coordinator.start()
    assert fleet.coordinator.wait(REFUSAL_SECONDS) != 0
    assert "newer version" in fleet.coordinator.output()
    assert read_rows(fleet, "SELECT * FROM schema_version") == before


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    fleet = _stopped_coordinator(tmp_path)
    database = fleet.state / "pilotage.db"
    with database.open("r+b") as file:
        file.write(b"this was a database")
    before = database.read_bytes()
    fleet.coordinator.start()
    assert fleet.coordinator.wait(REFUSAL_SECONDS) != 0
    said = fleet.coordinator.output()
    assert "pilotage.db" in said
    assert "Traceback" not in said
    assert database.read_bytes() == before


def _stopped_coordinator(folder: Path) -> Fleet:
    fleet = Fleet(folder, ())
    fleet.start_coordinator()
    assert fleet.coordinator.terminate() == 0
    return fleet


# --- stops and restarts -----------------------------------------------------------------------------------------


def test_sigterm_of_both_does_not_disturb_a_step(fleet: Fleet, tmp_path: Path) -> None:
    execution = start(fleet, tmp_path, sleep="6s")
    assert fleet.agents["one"].terminate() == 0
    assert fleet.coordinator.terminate() == 0
    assert not (tmp_path / "end").exists()
    fleet.start_coordinator()
    fleet.agents["one"].start()
    run = await_state(fleet, execution, *ENDED)
    assert run["state"] == "completed", run
    assert starts(tmp_path) == 1
    assert (tmp_path / "end").exists()


def test_a_lost_journal_is_made_good_by_the_traces_of_the_attempt(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one")
    execution = start(fleet, tmp_path, sleep="4s")
    _lose_journal(fleet, with_traces=False)
    run = await_state(fleet, execution, *ENDED)
    assert run["state"] == "completed", run
    assert starts(tmp_path) == 1


def test_a_lost_state_folder_makes_a_running_step_unknown(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one")
    execution = start(fleet, tmp_path, hang=True)
    _lose_journal(fleet, with_traces=True)
    run = await_state(fleet, execution, "needs_attention")
    assert run["runs"][0]["evidence"]["journal"] == "replaced"
    done = fleet.run("run", "resolve", execution, "step", "--host", "one", "--as", "failed", "--comment", "looked")
    assert done.returncode == 0
    assert await_state(fleet, execution, *ENDED)["state"] == "failed"
    assert starts(tmp_path) == 1


def _lose_journal(fleet: Fleet, *, with_traces: bool) -> None:
    state = fleet.state_of("one")
    fleet.agents["one"].kill()
    for file in state.glob("journal.db*"):
        file.unlink()
    if with_traces:
        shutil.rmtree(state / "attempts")
    fleet.agents["one"].start()


# --- hosts that lie ---------------------------------------------------------------------------------------------


def test_a_token_is_good_once(fleet: Fleet, tmp_path: Path) -> None:
    token = fleet.call(lambda client: client.make_token(None, {}))["token"]
    fleet.enrol("twice", token=token)
    second = fleet.join_with(token, tmp_path / "other")
    assert second.returncode != 0
    assert "token" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_revoked_host_is_cut_off_at_once(make_fleet: MakeFleet) -> None:
    fleet = make_fleet("one")
    fleet.call(lambda client: client.revoke_host("one", "sold"))
    began = time.monotonic()
    status = fleet.call(lambda client: client.status())
    assert status["hosts_online"] == 0
    fleet.until("the agent knows", lambda: "revoked" in fleet.agents["one"].output().lower(), CUT_OFF_SECONDS)
    assert time.monotonic() - began < CUT_OFF_SECONDS
    refused = fleet.run("exec", "-l", "name=one", "--yes", "--", "true", check=False)
    assert refused.returncode != 0


def test_what_runs_on_a_revoked_host_becomes_unknown_and_can_be_settled(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one")
    execution = start(fleet, tmp_path, hang=True)
    fleet.call(lambda client: client.revoke_host("one", "it burnt down"))
    run = await_state(fleet, execution, "needs_attention")
    assert "revoked" in run["runs"][0]["error"]
    assert run["runs"][0]["evidence"] == {"host": "revoked"}
    fleet.run("run", "resolve", execution, "step", "--host", "one", "--as", "failed", "--comment", "burnt")
    assert await_state(fleet, execution, *ENDED)["state"] == "failed"


def test_a_run_that_is_cancelled_on_a_host_that_never_returns_can_end(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet("one")
    execution = start(fleet, tmp_path, hang=True)
    fleet.agents["one"].kill()
    fleet.call(lambda client: client.cancel_run(execution, "never mind"))
    assert shown(fleet, execution)["state"] == "cancelling"
    fleet.call(lambda client: client.revoke_host("one", "stolen"))
    await_state(fleet, execution, "needs_attention")
    fleet.call(lambda client: client.resolve_run(execution, "step", "failed", host="one", comment="stolen"))
    assert await_state(fleet, execution, *ENDED)["state"] == "cancelled"


def test_a_cloned_agent_puts_both_in_quarantine(make_fleet: MakeFleet) -> None:
    fleet = make_fleet("one")
    fleet.agents["one"].terminate()
    clone = fleet.folder / "agents" / "clone"
    shutil.copytree(fleet.state_of("one"), clone)
    fleet.agents["one"].start()
    fleet.await_online()
    fleet.add("clone", clone).start()
    fleet.until("quarantined", lambda: fleet.list_hosts()[0]["state"] == "quarantined")
    host = fleet.call(lambda client: client.show_host("one"))
    assert host["state_reason"]
    doctor = {item["check"]: item for item in fleet.call(lambda client: client.examine())["items"]}
    assert doctor["hosts"]["verdict"] == "failure"
    assert "one" in doctor["hosts"]["detail"]
    assert fleet.call(lambda client: client.status())["hosts_online"] == 0


def test_hostile_output_is_shown_harmlessly(fleet: Fleet) -> None:
    program = (
        "import sys;o=sys.stdout.buffer;"
        r"o.write(b'\x1b]0;owned\x07\x1b[2Jred\n\xff\xfe broken\n' + b'y'*300000 + b'\nlast\r\x08\n')"
    )
    done = fleet.run("--json", "exec", "-l", "name=one", "--yes", "--", "python3", "-c", program)
    execution = json.loads(done.stdout)["id"]
    fleet.until("the log came", lambda: "last" in fleet.run("logs", execution).stdout)
    plain = fleet.run("logs", execution)
    assert "\x1b" not in plain.stdout
    assert "\x07" not in plain.stdout
    assert "\x08" not in plain.stdout
    assert "broken" in plain.stdout
    assert "\x1b" not in fleet.run("--json", "logs", execution).stdout
    assert "\x1b" not in fleet.run("run", "show", execution).stdout


def test_kill_of_both_at_once_while_a_step_runs(fleet: Fleet, tmp_path: Path) -> None:
    execution = start(fleet, tmp_path, sleep="3s")
    fleet.coordinator.kill()
    fleet.agents["one"].kill()
    fleet.start_coordinator()
    fleet.agents["one"].start()
    assert await_state(fleet, execution, *ENDED)["state"] == "completed"
    assert starts(tmp_path) == 1
    fleet.agents["one"].terminate()
    assert not read_journal(fleet, "one").open
    fleet.agents["one"].start()
    fleet.await_online()


def test_sigint_ends_a_coordinator_in_order(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, ())
    fleet.start_coordinator()
    assert fleet.coordinator.running is not None
    fleet.coordinator.running.send_signal(signal.SIGINT)
    assert fleet.coordinator.wait(REFUSAL_SECONDS) == 0
    assert not fleet.socket.exists()
