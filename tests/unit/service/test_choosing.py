"""Which executions a list has, and which step runs of one are shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from immutables import Map
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import StepRun
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.execution.states import StepRunStatus
from pilotage_coordinator.domain.plan import StepKind
from pilotage_coordinator.domain.planning.codec import to_json
from pilotage_coordinator.service import executions
from pilotage_coordinator.service.errors import Invalid, NotFound
from pilotage_coordinator.service.execution_view import inside
from pilotage_coordinator.service.executions import ListRuns, ShowRun
from pilotage_coordinator.store.records import ExecutionCreation, ExecutionInputs, ExecutionRecord, PlanRecord, Progress

from tests.unit.service.desk import DIGEST, EXECUTION, NOW, OWNER, Desk, plan

HOUR = 3_600_000_000
RUNS = (
    ("sane", "db1", StepRunStatus.SUCCEEDED),
    ("sane", "db2", StepRunStatus.FAILED),
    ("sane", "", StepRunStatus.RUNNING),
)


async def _three_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.add_execution()

    async def state(execution: str) -> ExecutionState:
        runs = {RunKey(path, host): StepRun(RunKey(path, host), StepKind.LEAF, status) for path, host, status in RUNS}
        return replace(ExecutionState.new(execution, plan()), runs=Map(runs))

    monkeypatch.setattr(desk.runs, "state", state)


@pytest.mark.parametrize(
    ("chosen", "hosts"),
    [
        ({}, ["", "db1", "db2"]),
        ({"host": "db1"}, ["db1"]),
        ({"host": "coordinator"}, [""]),
        ({"state": ["failed", "running"]}, ["", "db2"]),
        ({"step": "sane", "host": "db2", "state": ["succeeded"]}, []),
    ],
)
async def test_step_runs_are_chosen_and_counted_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, object], hosts: list[str]
) -> None:
    await _three_runs(desk, monkeypatch)
    request = ShowRun.model_validate({"execution": EXECUTION, **chosen})
    shown = await executions.show_run(desk.services, OWNER, request)
    assert sorted(each.host for each in shown.runs) == hosts
    assert shown.counts == {"succeeded": 1, "failed": 1, "running": 1}
    assert shown.runs_omitted == 0


@pytest.mark.parametrize(
    ("chosen", "fix"), [({"step": "sanee"}, "`sane`"), ({"host": "db3"}, "`db"), ({"host": "zzz"}, "db1, db2")]
)
async def test_a_step_or_host_that_is_not_in_it_is_refused_with_the_nearest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, object], fix: str
) -> None:
    await _three_runs(desk, monkeypatch)
    with pytest.raises(Invalid) as refusal:
        await executions.show_run(desk.services, OWNER, ShowRun.model_validate({"execution": EXECUTION, **chosen}))
    assert fix in refusal.value.fix


@pytest.mark.parametrize(
    ("path", "wanted", "expected"),
    [
        ("protect/save", "", True),
        ("protect/save", "protect", True),
        ("protect/save", "protect/save", True),
        ("protect/save", "save", True),
        ("protect/save/copy", "protect/save", True),
        ("protect/saved", "protect/save", False),
        ("protect/save", "sav", False),
    ],
)
def test_a_step_is_named_by_path_or_id_and_a_group_means_what_is_inside(path: str, wanted: str, expected: bool) -> None:
    assert inside(path, wanted) is expected


async def test_what_is_not_there_says_where_to_look(desk: Desk) -> None:
    with pytest.raises(NotFound) as refusal:
        await executions.show_run(desk.services, OWNER, ShowRun(execution=EXECUTION))
    assert "pilotage run list" in refusal.value.fix


async def _aged(desk: Desk, *hours: int) -> None:
    made = plan()
    await desk.store.plans.put(PlanRecord(DIGEST, to_json(made), {}, NOW))
    for number, ago in enumerate(hours):
        row = ExecutionRecord(
            f"exe_{number:032x}", "check", "1.0.0", DIGEST, "ann", NOW - ago * HOUR, Progress("running")
        )
        await desk.store.executions.create(ExecutionCreation(row, ExecutionInputs()))


async def _listed(desk: Desk, hours: int, limit: int) -> list[list[int]]:
    """Return the numbers of the executions of the last hours, page by page."""
    since = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=NOW - hours * HOUR)
    pages: list[list[int]] = []
    cursor = ""
    while True:
        page = await executions.list_runs(desk.services, OWNER, ListRuns(since=since, cursor=cursor, limit=limit))
        pages.append([int(each.id[4:], 16) for each in page.items])
        cursor = page.next
        if not cursor:
            return pages


async def test_a_list_goes_back_as_far_as_asked_and_reads_no_further(desk: Desk) -> None:
    await _aged(desk, 9, 8, 7, 3, 2, 1)
    assert await _listed(desk, 4, 2) == [[5, 4], [3]]
    assert await _listed(desk, 24, 4) == [[5, 4, 3, 2], [1, 0]]
    assert await _listed(desk, 0, 4) == [[]]


async def test_one_execution_of_a_clock_that_was_wrong_hides_none_before_it(desk: Desk) -> None:
    await _aged(desk, 3, 100, 2)
    assert await _listed(desk, 4, 3) == [[2, 0]]
