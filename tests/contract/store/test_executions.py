import asyncio
from dataclasses import replace
from enum import StrEnum

import pytest
from immutables import Map
from pilotage_coordinator.store.errors import BadCursor, Conflict, NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import (
    AnswerRecord,
    AttemptUpdate,
    EventRecord,
    ExecutionFilter,
    ExecutionInputs,
    Progress,
    StepRunFilter,
)
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.contract.store.conftest import Reopen
from tests.contract.store.records import (
    NOW,
    attempt,
    audit,
    change,
    creation,
    event,
    execution,
    key,
    step_run,
)


class Colour(StrEnum):
    RED = "red"


async def test_a_new_execution_reads_back_as_it_was_given(store: Store) -> None:
    await store.executions.create(creation(step_runs=(step_run(),), audit=(audit(),)))
    assert await store.executions.get("exe_1") == replace(execution(), sequence=1)
    assert await store.executions.inputs("exe_1") == ExecutionInputs({"days": 30}, b"\x00sealed")
    assert await store.executions.events("exe_1") == (event(1, "created"),)
    assert (await store.executions.step_runs("exe_1")).rows == (step_run(),)
    assert (await store.audit.head()).sequence == 1


async def test_inputs_keep_the_answers_of_their_own_execution(store: Store) -> None:
    answers = {"find": {"outputs": {"db1": {"n": 1.5}}}}
    await store.executions.create(creation(inputs=ExecutionInputs(answers=answers)))
    await store.executions.create(creation("exe_2", inputs=ExecutionInputs(answers={})))
    assert (await store.executions.inputs("exe_1")).answers == answers
    assert (await store.executions.inputs("exe_2")).answers == {}


@pytest.mark.parametrize("wanted", [{}, {"blueprint_id": "backup"}, {"statuses": ("pending", "running")}])
async def test_since_finds_every_execution_made_then_or_later_whatever_the_clock_did(
    store: Store, wanted: dict[str, object]
) -> None:
    # Set far ahead for a while, then back, then right.
    for number, at in enumerate([10, 20, 900, 15, 30, 5, 40, 12, 50]):
        made = creation(f"exe_{number}")
        await store.executions.create(replace(made, execution=replace(made.execution, created_at=at)))
    found: list[int] = []
    cursor = ""
    while True:
        filter = ExecutionFilter(**wanted, since=20)  # type: ignore[arg-type]
        page = await store.executions.find(filter, cursor, limit=2)
        found += [row.created_at for row in page.rows]
        cursor = page.cursor
        if not cursor:
            break
    assert found == [50, 40, 30, 900, 20]
    assert (await store.executions.find(ExecutionFilter(since=901))).rows == ()


async def test_an_execution_needs_its_plan(store: Store) -> None:
    new = creation(execution=replace(execution(), plan_digest="sha256:other"))
    with pytest.raises(NotFound, match="plan again"):
        await store.executions.create(new)


async def test_an_id_is_taken_once(store: Store) -> None:
    await store.executions.create(creation())
    with pytest.raises(Conflict):
        await store.executions.create(creation())


async def test_creation_remembers_its_answer_and_a_repeated_request_creates_nothing(store: Store) -> None:
    answer = AnswerRecord("key", "ann", "run.start", "sha256:r", {"execution": "exe_1"}, NOW + 1)
    await store.executions.create(creation(answer=answer))
    with pytest.raises(Conflict, match="key"):
        await store.executions.create(creation("exe_2", answer=answer))
    assert await store.answers.get("ann", "key", NOW) == answer
    with pytest.raises(NotFound):
        await store.executions.get("exe_2")


async def test_a_change_stores_all_of_its_parts(store: Store) -> None:
    await store.executions.create(creation())
    run = step_run(outputs={"snapshot": "ab", "größe": 1.5}, error="no", failure_kind="step", ended_at=NOW + 9)
    new = attempt(key())
    await store.executions.commit(change(step_runs=(run,), attempts=(new,), audit=(audit(),)))
    found = await store.executions.get("exe_1")
    assert (found.version, found.sequence, found.progress) == (1, 2, change().progress)
    assert await store.executions.events("exe_1", after=1) == (event(2),)
    assert await store.executions.step_run("exe_1", "backup", "db1", "") == run
    assert await store.executions.attempt(new.key) == new
    assert (await store.audit.read())[0].entry == audit()


async def test_values_of_the_domain_are_taken_as_they_are(store: Store) -> None:
    """Enums that are strings, and persistent maps: the engine's state holds both."""
    await store.executions.create(creation())
    progress = Progress(status=Colour.RED, counts=Map({Colour.RED: 2}))
    happened = EventRecord(2, NOW, Colour.RED, Map({"a": Map({"b": (1, 2)})}))
    await store.executions.commit(change(progress=progress, events=(happened,)))
    found = await store.executions.get("exe_1")
    assert (found.progress.status, found.progress.counts) == ("red", {"red": 2})
    assert (await store.executions.events("exe_1", after=1))[0].data == {"a": {"b": [1, 2]}}


async def test_a_change_without_events_keeps_the_sequence(store: Store) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change(events=()))
    found = await store.executions.get("exe_1")
    assert (found.version, found.sequence) == (1, 1)


async def test_a_change_decided_on_an_old_version_is_refused_whole(store: Store) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change())
    with pytest.raises(Conflict, match="at version 1"):
        await store.executions.commit(change(step_runs=(step_run(),), audit=(audit(),)))
    assert (await store.executions.step_runs("exe_1")).rows == ()
    assert (await store.audit.head()).sequence == 0


@pytest.mark.parametrize("sequence", [1, 2, 4])
async def test_events_follow_without_gap_or_overlap(store: Store, sequence: int) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change())
    with pytest.raises(Conflict, match="newest event is 2"):
        await store.executions.commit(change(version=1, events=(event(sequence),)))


async def test_a_gap_within_one_change_is_refused(store: Store) -> None:
    await store.executions.create(creation())
    with pytest.raises(Refused, match="event 4 follows event 2"):
        await store.executions.commit(change(events=(event(2), event(4))))


async def test_an_unknown_execution_is_named(store: Store) -> None:
    for call in (store.executions.commit(change("exe_9")), store.executions.get("exe_9")):
        with pytest.raises(NotFound, match="exe_9"):
            await call
    with pytest.raises(NotFound, match="exe_9"):
        await store.executions.inputs("exe_9")


async def test_an_attempt_is_new_once(store: Store) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change(attempts=(attempt(key()),)))
    with pytest.raises(Conflict, match="has a row already"):
        await store.executions.commit(change(version=1, attempts=(attempt(key()),)))
    assert (await store.executions.get("exe_1")).version == 1


async def test_an_attempt_of_another_execution_is_refused(store: Store) -> None:
    await store.executions.create(creation())
    with pytest.raises(Refused, match="exe_2"):
        await store.executions.commit(change(attempts=(attempt(key("exe_2")),)))


async def test_an_attempt_is_updated_only_in_the_expected_epoch(store: Store) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change(attempts=(attempt(key(), epoch=3),)))
    ended = AttemptUpdate(key(), "succeeded", expected_epoch=2, ended_at=NOW + 5, outcome="succeeded", digest="d")
    with pytest.raises(Conflict, match="epoch 3"):
        await store.executions.commit(change(version=1, step_runs=(step_run(),), attempt_updates=(ended,)))
    assert (await store.executions.step_runs("exe_1")).rows == ()
    ended = replace(ended, expected_epoch=3, evidence={"probe": "done"})
    await store.executions.commit(change(version=1, attempt_updates=(ended,)))
    found = await store.executions.attempt(key())
    assert found == attempt(
        key(),
        epoch=3,
        status="succeeded",
        ended_at=NOW + 5,
        outcome="succeeded",
        digest="d",
        evidence={"probe": "done"},
    )


async def test_an_attempt_ends_once(store: Store) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change(attempts=(attempt(key()),)))
    ended = AttemptUpdate(key(), "failed", ended_at=NOW)
    await store.executions.commit(change(version=1, attempt_updates=(ended,)))
    with pytest.raises(Conflict, match="ended already"):
        await store.executions.commit(change(version=2, attempt_updates=(replace(ended, status="succeeded"),)))


async def test_an_update_keeps_what_it_does_not_name(store: Store) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change(attempts=(attempt(key(), epoch=3, started_at=NOW + 1),)))
    await store.executions.commit(change(version=1, attempt_updates=(AttemptUpdate(key(), "running", epoch=4),)))
    found = await store.executions.attempt(key())
    assert (found.epoch, found.started_at, found.status, found.parameters) == (
        4,
        NOW + 1,
        "running",
        {"paths": ["/etc"]},
    )


async def test_an_unknown_attempt_is_named(store: Store) -> None:
    await store.executions.create(creation())
    with pytest.raises(NotFound, match="exe_1/backup/db1//run/1"):
        await store.executions.commit(change(attempt_updates=(AttemptUpdate(key(), "running"),)))


async def test_open_attempts_are_those_of_one_execution_that_have_not_ended(store: Store) -> None:
    await store.executions.create(creation())
    keys = [key(attempt=1), key(attempt=2), key(host="db2")]
    await store.executions.commit(change(attempts=tuple(attempt(each) for each in keys)))
    await store.executions.commit(change(version=1, attempt_updates=(AttemptUpdate(keys[0], "failed", ended_at=NOW),)))
    await store.executions.create(creation("exe_2"))
    await store.executions.commit(change("exe_2", attempts=(attempt(key("exe_2")),)))
    assert await store.executions.open_attempts("exe_1") == {keys[1]: 1, keys[2]: 1}


async def test_the_attempts_of_a_step_are_listed_in_pages(store: Store) -> None:
    await store.executions.create(creation())
    keys = [
        AttemptKey("exe_1", "backup", host, item, kind, number)
        for host in ("db1", "db2")
        for item in ("", "a")
        for kind in (AttemptKind.RUN, AttemptKind.UNDO)
        for number in (1, 2, 10)
    ]
    others = [key(path="backup/inner"), key(path="backu")]
    await store.executions.commit(change(attempts=tuple(attempt(each) for each in [*keys[::-1], *others])))
    for host, wanted in (("", keys), ("db1", keys[:12]), ("db2", keys[12:]), ("db3", [])):
        found: list[AttemptKey] = []
        while page := await store.executions.attempt_keys("exe_1", "backup", host, found[-1] if found else None, 5):
            assert len(page) <= 5
            found += page
        assert found == wanted
    with pytest.raises(NotFound, match="exe_1/backup/db1//run/3"):
        await store.executions.attempt(key(attempt=3))


async def test_a_page_ends_with_its_bytes_and_nothing_is_left_out(store: Store) -> None:
    """What is fetched and decoded is not interrupted as a query is: what one answer holds is bounded."""
    await store.executions.create(creation())
    large = "x" * 60_000
    events = tuple(replace(event(number), data={"text": large}) for number in range(2, 62))
    runs = tuple(replace(step_run(), host=f"h{number:02}", outputs={"text": large}) for number in range(60))
    await store.executions.commit(change(events=events, step_runs=runs))
    seen: list[int] = []
    while page := await store.executions.events("exe_1", seen[-1] if seen else 1, 10_000):
        assert len(page) < 20
        seen += [each.sequence for each in page]
    assert seen == list(range(2, 62))
    hosts: list[str] = []
    cursor = ""
    while True:
        found = await store.executions.step_runs("exe_1", cursor=cursor, limit=10_000)
        assert len(found.rows) < 20
        hosts += [each.host for each in found.rows]
        if not (cursor := found.cursor):
            break
    assert [host for host in hosts if host != step_run().host] == [run.host for run in runs]


async def test_executions_are_listed_newest_first_in_pages(store: Store) -> None:
    for number in range(7):
        await store.executions.create(creation(f"exe_{number}", "backup" if number % 2 else "patch"))
    seen: list[str] = []
    cursor = ""
    while True:
        page = await store.executions.find(ExecutionFilter(), cursor, limit=3)
        seen += [row.id for row in page.rows]
        cursor = page.cursor
        if not cursor:
            break
    assert seen == [f"exe_{number}" for number in range(6, -1, -1)]
    page = await store.executions.find(ExecutionFilter(blueprint_id="backup"))
    assert [row.id for row in page.rows] == ["exe_5", "exe_3", "exe_1"]


async def test_a_page_stays_right_when_newer_executions_come(store: Store) -> None:
    for number in range(4):
        await store.executions.create(creation(f"exe_{number}"))
    first = await store.executions.find(ExecutionFilter(), limit=2)
    await store.executions.create(creation("exe_9"))
    second = await store.executions.find(ExecutionFilter(), first.cursor, limit=2)
    assert [row.id for row in second.rows] == ["exe_1", "exe_0"]


async def test_executions_in_several_statuses_are_merged_in_order(store: Store) -> None:
    for number, status in enumerate(["failed", "completed", "running", "failed", "completed"]):
        await store.executions.create(creation(execution=execution(f"exe_{number}", status=status)))
    wanted = ExecutionFilter(blueprint_id="backup", statuses=("failed", "completed"))
    first = await store.executions.find(wanted, limit=3)
    second = await store.executions.find(wanted, first.cursor, limit=3)
    assert [row.id for row in first.rows + second.rows] == ["exe_4", "exe_3", "exe_1", "exe_0"]
    assert second.cursor == ""
    page = await store.executions.find(ExecutionFilter(statuses=("running",)))
    assert [row.id for row in page.rows] == ["exe_2"]


@pytest.mark.parametrize(
    "cursor", ["nonsense!", "bm9uc2Vuc2U", "WyJob3N0cyIsImEiLCJiIl0", "WyJleGVjdXRpb25zIiwxLDIsM10"]
)
async def test_a_cursor_of_something_else_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await store.executions.find(ExecutionFilter(), cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_out_of_bounds_is_refused(store: Store, limit: int) -> None:
    with pytest.raises(Refused, match="between 1 and 1000"):
        await store.executions.find(ExecutionFilter(), limit=limit)


async def test_active_executions_are_those_without_an_end(store: Store) -> None:
    for number in range(3):
        await store.executions.create(creation(f"exe_{number}"))
    await store.executions.commit(change("exe_1", progress=Progress("completed", ended_at=NOW + 2)))
    assert [row.id for row in await store.executions.active()] == ["exe_0", "exe_2"]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, ["a//", "a/db1/", "a/db1/x", "a/db2/", "b/db1/"]),
        (StepRunFilter(path="a"), ["a//", "a/db1/", "a/db1/x", "a/db2/"]),
        (StepRunFilter(path="a", status="failed"), ["a/db1/x"]),
        (StepRunFilter(path="a", host="db1"), ["a/db1/", "a/db1/x"]),
        (StepRunFilter(host=""), ["a//"]),
        (StepRunFilter(host="db1"), ["a/db1/", "a/db1/x", "b/db1/"]),
        (StepRunFilter(host="db1", status="failed"), ["a/db1/x", "b/db1/"]),
        (StepRunFilter(status="failed"), ["a/db1/x", "b/db1/"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_step_runs_are_listed_by_every_filter_in_pages(
    store: Store, filter: StepRunFilter | None, expected: list[str], limit: int
) -> None:
    failed = {"status": "failed"}
    runs = (
        step_run("b", "db1", **failed),
        step_run("a", "db2"),
        step_run("a", "db1", "x", **failed),
        step_run("a", "db1"),
        step_run("a", ""),
    )
    await store.executions.create(creation(step_runs=runs))
    await store.executions.create(creation("exe_2", step_runs=runs))
    seen: list[str] = []
    cursor = ""
    while True:
        page = await store.executions.step_runs("exe_1", filter, cursor, limit)
        assert 0 < len(page.rows) <= limit
        seen += [f"{row.path}/{row.host}/{row.item}" for row in page.rows]
        cursor = page.cursor
        if not cursor:
            break
    assert seen == expected


async def test_a_step_run_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="`backup` on db1 for item x"):
        await store.executions.step_run("exe_1", "backup", "db1", "x")


async def test_metrics_count_each_move_and_end(store: Store) -> None:
    for number in range(3):
        await store.executions.create(creation(f"exe_{number}"))
        await store.executions.commit(change(f"exe_{number}"))
    ended = Progress("completed", started_at=NOW, ended_at=NOW + 10)
    await store.executions.commit(change("exe_0", 1, progress=ended))
    await store.executions.commit(change("exe_1", 1, progress=ended))
    figures = {
        row.status: (row.current, row.entered, row.ended, row.duration)
        for row in await store.executions.metrics("backup")
    }
    assert figures == {"pending": (0, 3, 0, 0), "running": (1, 3, 0, 0), "completed": (2, 2, 2, 20)}
    assert await store.executions.metrics("patch") == ()
    assert len(await store.executions.metrics()) == 3


async def test_concurrent_changes_share_transactions_and_one_that_conflicts_fails_alone(store: Store) -> None:
    for number in range(20):
        await store.executions.create(creation(f"exe_{number}"))
    before = store.figures()
    changes = [change(f"exe_{number}", version=1 if number == 7 else 0) for number in range(20)]
    results = await asyncio.gather(*(store.executions.commit(each) for each in changes), return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == [7]
    assert isinstance(results[7], Conflict)
    for number in range(20):
        assert (await store.executions.get(f"exe_{number}")).version == (0 if number == 7 else 1)
    after = store.figures()
    assert after.writes - before.writes == 20
    assert after.transactions - before.transactions <= 2
    assert after.conflicts - before.conflicts == 1


async def test_two_changes_of_one_version_at_once_have_one_winner(store: Store) -> None:
    await store.executions.create(creation())
    results = await asyncio.gather(*(store.executions.commit(change()) for _ in range(10)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 9 + ["NoneType"]
    assert len(await store.executions.events("exe_1")) == 2


async def test_what_was_committed_is_there_after_opening_again(reopen: Reopen, store: Store) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change())
    again = await reopen()
    assert (await again.executions.get("exe_1")).version == 1


async def test_a_cancelled_caller_leaves_the_others_alone(store: Store) -> None:
    for number in range(3):
        await store.executions.create(creation(f"exe_{number}"))
    tasks = [asyncio.create_task(store.executions.commit(change(f"exe_{number}"))) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] is None
    assert results[2] is None
    assert (await store.executions.get("exe_2")).version == 1


@pytest.mark.parametrize("events", [(), (event(2),)])
async def test_an_old_version_is_refused_also_when_the_events_would_follow(
    store: Store, events: tuple[EventRecord, ...]
) -> None:
    await store.executions.create(creation())
    await store.executions.commit(change(events=()))
    with pytest.raises(Conflict, match="at version 1"):
        await store.executions.commit(change(events=events))


async def test_a_last_page_that_is_full_has_no_cursor(store: Store) -> None:
    for number in range(4):
        await store.executions.create(creation(f"exe_{number}"))
    first = await store.executions.find(ExecutionFilter(), limit=2)
    second = await store.executions.find(ExecutionFilter(), first.cursor, limit=2)
    assert (len(second.rows), second.cursor) == (2, "")
