"""kill -9 at every named failpoint of coordinator and agent, under a real run: nothing lost, nothing started twice."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pilotage_agent.failpoint import FAILPOINTS as OF_AGENT
from pilotage_client import CoordinatorUnreachable
from pilotage_coordinator.runtime.failpoint import FAILPOINTS as OF_COORDINATOR

from tests.fleet.books import violations
from tests.fleet.fleet import ENDED, Fleet
from tests.fleet.process import Process

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOST = "one"
KILL_SECONDS = 40.0

BLUEPRINT = """
pilotage: 1
workflows:
  chain:
    version: "1.0.0"
    parameters: {work: {type: string, required: true}}
    targets: {hosts: [one]}
    steps:
      - id: once
        type: dummy.once
        parameters: {write: "${{ parameters.work }}/once", finished: "${{ parameters.work }}/once-done", sleep: 50ms}
      - id: probe
        dependencies: [once]
        type: dummy.probe
        retry_policy: {max_attempts: 3, initial_delay: 20ms}
        parameters: {write: "${{ parameters.work }}/probe", finished: "${{ parameters.work }}/probe-done"}
      - id: idempotent
        dependencies: [probe]
        type: dummy.idempotent
        retry_policy: {max_attempts: 3, initial_delay: 20ms}
        parameters: {write: "${{ parameters.work }}/idempotent", finished: "${{ parameters.work }}/idempotent-done"}
      - id: again
        dependencies: [idempotent]
        type: dummy.once
        parameters: {write: "${{ parameters.work }}/again", finished: "${{ parameters.work }}/again-done"}
"""

HANGING = """
pilotage: 1
workflows:
  hanging:
    version: "1.0.0"
    parameters: {work: {type: string, required: true}}
    targets: {hosts: [one]}
    steps:
      - id: once
        type: dummy.once
        parameters: {write: "${{ parameters.work }}/once", hang: true}
"""

STEPS = ("once", "probe", "idempotent", "again")
IN_WORKER = tuple(name for name in OF_AGENT if name.startswith("worker."))
AT_CANCEL = ("agent.cancel.received", "agent.tombstone.noted")
"""The second needs a cancel for an attempt that never came: played in tests/integration/agent/test_failpoints.py."""
AT_RECOVERY = ("agent.recovery.before", "agent.recovery.after")
"""They need a step whose process is killed: played there, too."""
NEVER_BEGUN = "agent.started.after_journal"
AT_CONNECT = ("agent.session.counted", "agent.hello.sent", "coordinator.session.reconciled")
UNKNOWN_AFTER = {"worker.begun", "worker.outcome.before_write"}
"""Where the process of a `once` step dies without an outcome: a person decides."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One host; each test kills and starts its processes anew."""
    fleet = Fleet(tmp_path_factory.mktemp("kills"), (HOST,))
    try:
        fleet.start_coordinator()
        fleet.join(HOST)
        fleet.await_online()
        yield fleet
        fleet.stop()
        assert violations(fleet) == []
    finally:
        fleet.stop()


AT_NOTIFICATION = ("coordinator.notification.sent",)
"""Needs a receiver: played in tests/e2e/test_notifications.py."""
AT_SCHEDULE = ("coordinator.schedule.due", "coordinator.schedule.started")
"""They need a schedule: played in tests/e2e/test_schedules.py."""
ELSEWHERE = (*AT_CANCEL, *AT_RECOVERY, *AT_NOTIFICATION, *AT_SCHEDULE)
WALKED = tuple(name for name in (*OF_COORDINATOR, *OF_AGENT) if name not in ELSEWHERE)


def test_every_failpoint_is_walked() -> None:
    assert {*WALKED, *ELSEWHERE} == {*OF_COORDINATOR, *OF_AGENT}
    assert {*IN_WORKER, *AT_CONNECT} <= set(WALKED)


@pytest.mark.parametrize("name", [name for name in WALKED if name not in IN_WORKER])
def test_a_kill_at(name: str, fleet: Fleet, tmp_path: Path) -> None:
    by_coordinator = name.startswith("coordinator.")
    process = fleet.coordinator if by_coordinator else fleet.agents[HOST]
    armed = {"PILOTAGE_FAILPOINT": name}
    process.stop()
    # At a meeting of the two, the victim dies when it finds the chain under way.
    begin = _begin_apart if name in AT_CONNECT else _begin
    execution = begin(fleet, tmp_path, armed, by_coordinator=by_coordinator)
    if not _was_restarted(process):
        assert process.wait(KILL_SECONDS) == -signal.SIGKILL, f"{name} was not reached"
        _start_again(fleet, by_coordinator=by_coordinator)
    shown = _settle(fleet, execution, tmp_path)
    if name == NEVER_BEGUN:
        # The agent can prove that it handed nothing over, so the step failed without a start, and may be retried.
        assert (shown["state"], shown["runs"][0]["failure_kind"]) == ("failed", "infrastructure")
        assert not (tmp_path / "once").exists()
        fleet.call(lambda client: client.retry_run(execution))
        shown = _settle(fleet, execution, tmp_path)
    _check(shown, tmp_path)


@pytest.mark.parametrize("name", IN_WORKER)
def test_a_worker_killed_at(name: str, fleet: Fleet, tmp_path: Path) -> None:
    agent = fleet.agents[HOST]
    agent.stop()
    execution = _begin(fleet, tmp_path, {"PILOTAGE_FAILPOINT": name}, by_coordinator=False)
    rest = {*ENDED, "needs_attention"}
    fleet.until("the worker died", lambda: _shown(fleet, execution)["state"] in rest)
    shown = _shown(fleet, execution)
    if name in UNKNOWN_AFTER:
        assert shown["state"] == "needs_attention"
        assert "SIGKILL" in str(shown["runs"][0]["evidence"])
    agent.stop()
    agent.start()
    fleet.await_online()
    _check(_settle(fleet, execution, tmp_path), tmp_path)


def test_a_kill_at_a_cancel(fleet: Fleet, tmp_path: Path) -> None:
    agent = fleet.agents[HOST]
    agent.stop()
    agent.start({"PILOTAGE_FAILPOINT": "agent.cancel.received"})
    fleet.await_online()
    execution = _run(fleet, HANGING, tmp_path)
    fleet.until("the step began", lambda: (tmp_path / "once").exists())
    fleet.call(lambda client: client.cancel_run(execution, "enough"))
    assert agent.wait(KILL_SECONDS) == -signal.SIGKILL
    agent.start()
    fleet.until("cancelled", lambda: _shown(fleet, execution)["state"] in ENDED)
    assert [(run["step"], run["state"]) for run in _shown(fleet, execution)["runs"]] == [("once", "cancelled")]
    assert len(_starts(tmp_path / "once")) == 1


def _begin(fleet: Fleet, work: Path, armed: dict[str, str], *, by_coordinator: bool) -> str:
    if by_coordinator:
        fleet.coordinator.start(armed)
        fleet.await_coordinator()
    else:
        fleet.agents[HOST].start(armed)
    fleet.await_online()
    return _run(fleet, BLUEPRINT, work)


def _begin_apart(fleet: Fleet, work: Path, armed: dict[str, str], *, by_coordinator: bool) -> str:
    if by_coordinator:
        fleet.coordinator.start()
        fleet.await_coordinator()
        fleet.await_online()
        execution = _run(fleet, BLUEPRINT, work)
        fleet.coordinator.kill()
        fleet.coordinator.start(armed)
        return execution
    fleet.until("offline", lambda: fleet.list_hosts()[0]["state"] == "offline")
    execution = _run(fleet, BLUEPRINT, work)
    fleet.agents[HOST].start(armed)
    return execution


def _start_again(fleet: Fleet, *, by_coordinator: bool) -> None:
    if by_coordinator:
        fleet.coordinator.start()
        fleet.await_coordinator()
    else:
        fleet.agents[HOST].start()
    fleet.await_online()


def _run(fleet: Fleet, blueprint: str, work: Path) -> str:
    """Start a blueprint and return its execution, also when the coordinator died before it could answer."""
    before = {run["id"] for run in fleet.call(lambda client: client.list_runs())}
    try:
        started = fleet.call(lambda client: client.start_run(source=blueprint, parameters={"work": str(work)}))
    except CoordinatorUnreachable:
        assert fleet.coordinator.wait(KILL_SECONDS) == -signal.SIGKILL
        fleet.coordinator.start()
        fleet.await_coordinator()
        [execution] = {run["id"] for run in fleet.call(lambda client: client.list_runs())} - before
        return str(execution)
    return started["execution"]


def _was_restarted(process: Process) -> bool:
    """Return whether the running process is one that is not armed any more."""
    try:
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return False
    return bool(environment) and b"PILOTAGE_FAILPOINT" not in environment


def _shown(fleet: Fleet, execution: str) -> Any:
    return fleet.call(lambda client: client.show_run(execution))


def _settle(fleet: Fleet, execution: str, work: Path) -> Any:
    """Wait for the end; answer as a person who looks at what a step has left."""
    rest = {*ENDED, "needs_attention"}
    fleet.until(f"{execution} rests", lambda: _shown(fleet, execution)["state"] in rest, KILL_SECONDS)
    while (shown := _shown(fleet, execution))["state"] == "needs_attention":
        [unknown] = [run for run in shown["runs"] if run["state"] == "unknown"]
        assert unknown["evidence"], unknown
        done = (work / f"{unknown['step']}-done").exists()
        _resolve(fleet, execution, unknown["step"], "succeeded" if done else "retry")
        fleet.until(f"{execution} rests", lambda: _shown(fleet, execution)["state"] in rest, KILL_SECONDS)
    return shown


def _resolve(fleet: Fleet, execution: str, step: str, outcome: str) -> None:
    fleet.call(lambda client: client.resolve_run(execution, step, outcome, host=HOST, comment="looked at the host"))


def _check(shown: Any, work: Path) -> None:
    assert shown["state"] == "completed", shown
    assert {run["step"]: run["state"] for run in shown["runs"]} == dict.fromkeys(STEPS, "succeeded")
    for run in shown["runs"]:
        starts = Counter(_starts(work / run["step"]))
        # Starts of one key: a `once` and a `probe` at most one each, an `idempotent` as often as it takes.
        if run["step"] != "idempotent":
            assert all(count == 1 for count in starts.values()), starts
        assert len(starts) <= run["attempts"]
        # What is said to have succeeded has happened, to its end.
        assert _starts(work / f"{run['step']}-done"), run


def _starts(file: Path) -> list[str]:
    """Return the attempt's key of every start that a dummy has written down."""
    return [unquote(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []
