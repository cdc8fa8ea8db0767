"""Every blueprint of `cases/` on a real fleet, and what must come of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_client.answers import StepRun

from tests.e2e.case import HOSTS, OFFLINE, Act, Case, Expected, RunExpected, Until, cases
from tests.fleet.books import violations
from tests.fleet.fleet import ENDED, Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CASES = cases()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One coordinator and five hosts for all cases."""
    fleet = Fleet(tmp_path_factory.mktemp("cases"), tuple(HOSTS))
    try:
        fleet.start_coordinator()
        for host, labels in HOSTS.items():
            fleet.enrol(host, labels)
            fleet.agents[host].start()
        fleet.await_online()
        for host in OFFLINE:
            fleet.agents[host].stop()
        fleet.until(
            "away", lambda: all(each["state"] == "offline" for each in fleet.list_hosts() if each["name"] in OFFLINE)
        )
        yield fleet
        fleet.stop()
        assert violations(fleet) == []
    finally:
        fleet.stop()


def _offline(fleet: Fleet) -> set[str]:
    return {str(each["name"]) for each in fleet.list_hosts() if each["state"] == "offline"}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, fleet: Fleet, tmp_path: Path) -> None:
    expected = case.expected
    work = tmp_path / "work"
    work.mkdir()
    started = _start(fleet, case, work)
    if expected.refused is not None:
        assert expected.refused in started.stdout + started.stderr, started.stdout + started.stderr
        assert started.returncode == expected.exit
        return
    said = started.stdout + started.stderr
    assert started.returncode == (0 if expected.acts else expected.exit), said
    execution = json.loads(started.stdout)["execution" if expected.acts else "id"]
    for act in expected.acts:
        _act(fleet, act, execution, work)
    if expected.acts:
        watched = fleet.run("run", "watch", execution, check=False)
        assert watched.returncode == expected.exit, watched.stdout + watched.stderr
    shown = fleet.call(lambda client: client.show_run(execution))
    assert found(shown) == wanted(expected, shown)
    assert shown["state"] == expected.state, shown["reason"]
    assert expected.outputs.items() <= shown["outputs"].items()
    assert shown["state"] != "completed" or bool(shown["warnings"]) == expected.warnings
    assert {name: _lines(work / name, lines) for name, lines in expected.files.items()} == expected.files
    _check_order(shown["runs"], expected)


def _start(fleet: Fleet, case: Case, work: Path) -> Any:
    if case.expected.add:
        fleet.run("blueprint", "add", str(case.blueprint))
    arguments = ["run", "start", "-f", str(case.blueprint), "--yes", "-p", f"work={work}"]
    for name, value in case.expected.parameters.items():
        arguments += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    if case.expected.workflow:
        arguments += ["--workflow", case.expected.workflow]
    if case.expected.limit:
        arguments += ["-l", case.expected.limit]
    if case.expected.acts:
        arguments.append("--no-wait")
    return fleet.run("--json", *arguments, check=False)


def _act(fleet: Fleet, act: Act, execution: str, work: Path) -> None:
    fleet.until(f"{act.until!r} in {execution}", lambda: _is_so(fleet, act.until, execution))
    arguments = [each.replace("$EXECUTION", execution).replace("$WORK", str(work)) for each in act.cli]
    done = fleet.run(*arguments, check=False)
    assert done.returncode == act.exit, done.stdout + done.stderr
    assert act.says in done.stdout + done.stderr


def _is_so(fleet: Fleet, until: Until, execution: str) -> bool:
    shown = fleet.call(lambda client: client.show_run(execution))
    runs = {name_of(run): run for run in shown["runs"]}
    if until.state is None and shown["state"] in ENDED:
        raise AssertionError(f"{execution} ended as {shown['state']} before {until!r}: {shown['runs']}")
    return (
        until.state in (None, shown["state"])
        and all(name in runs and runs[name]["state"] == state for name, state in until.runs.items())
        and all(name in runs and runs[name]["waits_for"] == what for name, what in until.waits_for.items())
        and (until.gate is None or until.gate in {gate["name"] for gate in shown["gates"]})
    )


def name_of(run: StepRun) -> str:
    """Return a step run's name as the expectations have it."""
    item = f"[{run['item']}]" if run["item"] else ""
    return run["step"] + (f"@{run['host']}" if run["host"] else "") + item


def found(shown: Any) -> dict[str, str]:
    """Return the state of every step run."""
    return {name_of(run): run["state"] for run in shown["runs"]}


def wanted(expected: Expected, shown: Any) -> dict[str, str]:
    """Return the state that every step run must have, after comparing what else is expected of it."""
    runs = {name_of(run): run for run in shown["runs"]}
    states = {}
    for name, each in expected.runs.items():
        states[name] = each if isinstance(each, str) else each.state
        if isinstance(each, RunExpected) and name in runs:
            _compare(name, runs[name], each)
    return states


def _compare(name: str, run: Any, expected: RunExpected) -> None:
    assert expected.attempts in (None, run["attempts"]), f"{name} had {run['attempts']} attempts"
    assert expected.failure_kind in (None, run["failure_kind"]), f"{name}: {run['failure_kind']}: {run['error']}"
    assert (expected.error or "") in run["error"], f"{name}: {run['error']}"
    assert (expected.detail or "") in run["detail"], f"{name}: {run['detail']}"
    if expected.outputs is not None:
        kept = {key: run["outputs"].get(key) for key in expected.outputs}
        assert kept == expected.outputs, f"{name}: {run['outputs']}"


def _lines(path: Path, like: list[str] | None) -> list[str] | None:
    if not path.exists():
        return None
    lines = path.read_text().splitlines()
    return ["start"] * len(lines) if like and set(like) == {"start"} else lines


def _check_order(runs: list[Any], expected: Expected) -> None:
    by_name = {name_of(run): run for run in runs}
    started = [by_name[name]["started_at"] for name in expected.order]
    assert started == sorted(filter(None, started)), list(zip(expected.order, started, strict=True))
    for step, most in expected.at_most_together.items():
        spans = [(run["started_at"], run["ended_at"]) for run in runs if run["step"] == step and run["started_at"]]
        together = max((sum(begin <= at < end for begin, end in spans) for at, _ in spans), default=0)
        assert together <= most, f"{together} runs of {step} at once: {spans}"
