"""Answers that go over many things are made beside the event loop, small ones at once."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from immutables import Map
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.service import execution_view, executions, plan_view, plans
from pilotage_coordinator.service.executions import ReplayRun, ShowRun
from pilotage_coordinator.service.plans import ShowPlan

from tests.unit.service.desk import DIGEST, EXECUTION, OWNER, Desk, FakePlanned, plan

FEW, MANY = 2, 3000


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> set[threading.Thread]:
    """Where answers were made."""
    seen: set[threading.Thread] = set()

    def noted(work: Any) -> Any:
        def call(*arguments: Any) -> Any:
            seen.add(threading.current_thread())
            return work(*arguments)

        return call

    monkeypatch.setattr(plans, "plan_answer", noted(plan_view.plan_answer))
    monkeypatch.setattr(executions, "detail", noted(execution_view.detail))
    return seen


@pytest.mark.parametrize(("hosts", "previews", "beside"), [(FEW, 0, False), (MANY, 0, True), (FEW, MANY, True)])
async def test_a_plan(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    threads: set[threading.Thread],
    hosts: int,
    previews: int,
    beside: bool,
) -> None:
    async def stored(digest: str) -> FakePlanned:
        made = plan(tuple(f"h{number}" for number in range(hosts)), digest)
        return FakePlanned(made, previews={"sane": [{"host": "h1"}] * previews})

    monkeypatch.setattr(desk.plans, "stored", stored)
    answer = await plans.show_plan(desk.services, OWNER, ShowPlan(digest=DIGEST))
    assert len(answer.steps[0].waves[0].hosts) == hosts
    assert (threads != {threading.main_thread()}) is beside


@pytest.mark.parametrize(("count", "beside"), [(FEW, False), (MANY, True)])
async def test_an_execution(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, threads: set[threading.Thread], count: int, beside: bool
) -> None:
    await desk.add_execution()

    async def state(execution: str, at: int = 0) -> ExecutionState:
        keys = [RunKey("sane", f"h{number:04}") for number in range(count)]
        runs = {key: StepRun(key, StepKind.LEAF, StepRunStatus.SUCCEEDED, ended_at=1) for key in keys}
        failed = keys[-1]
        runs[failed] = runs[failed]._replace(status=StepRunStatus.FAILED)
        return replace(ExecutionState.new(execution, plan()), runs=Map(runs))

    monkeypatch.setattr(desk.runs, "state", state)
    monkeypatch.setattr(desk.runs, "replay", state)
    shown = await executions.show_run(desk.services, OWNER, ShowRun(execution=EXECUTION))
    replayed = await executions.replay_run(desk.services, OWNER, ReplayRun(execution=EXECUTION))
    for each in (shown, replayed.execution):
        assert "failed" in {run.state for run in each.runs}
        assert len(each.runs) + each.runs_omitted == count
        assert len(each.runs) == min(count, execution_view.MOST_RUNS)
    assert (threads != {threading.main_thread()}) is beside
