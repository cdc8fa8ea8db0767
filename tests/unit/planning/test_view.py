"""A plan as rows."""

from dataclasses import replace

import pytest
from pilotage_coordinator.domain.plan import Batch, Plan, Rollout
from pilotage_coordinator.domain.planning.previews import preview_questions
from pilotage_coordinator.domain.planning.view import BatchRow, PreviewAnswer, view_plan
from pilotage_coordinator.domain.share import Share

from tests.unit.planning.fleet import Answers, host, plan

TEXT = """
parameters: {token: {type: string, sensitive: true, default: hunter2}}
targets: {select: "true"}
steps:
  - {id: find, type: discovery.data, at_plan: true}
  - id: protect
    dependencies: [find]
    rollout: {batches: [1, "50%"]}
    steps:
      - id: save
        for_each: "${{ steps.find.outputs.volumes }}"
        type: backup.create
        parameters: {password: "secret://restic/${{ host.name }}", path: "${{ item }}"}
      - id: later
        dependencies: [save]
        for_each: "${{ execution.seed }}"
        key: "${{ item.item }}"
        max_items: 50
        type: command.run
        parameters: {argv: ["${{ item.item }}"]}
      - {id: prune, dependencies: [save], irreversible: true, type: backup.prune, parameters: {keep: 3}}
    finally: [{id: tidy, type: command.run, parameters: {argv: ["${{ parameters.token }}"]}}]
  - {id: one, when: "host.name == 'h1'", type: command.run, parameters: {argv: [x]}}
  - {id: few, dependencies: [one], targets: {from: one, limit: 1}, type: command.run, parameters: {argv: [x]}}
finally: [{id: told, place: coordinator, type: notify.send, parameters: {text: "${{ execution.outcome }}"}}]
"""
FLEET = [host(f"h{number}") for number in range(1, 5)]


def planned() -> Plan:
    return plan(TEXT, *FLEET, answers=Answers(by_path={"find": {"volumes": ["a", "b"]}})).plan


def test_rows_stand_in_order_with_waves_and_sections() -> None:
    view = view_plan(planned())
    assert [(row.path, row.depth, row.wave, row.section) for row in view.rows] == [
        ("find", 0, 1, "steps"),
        ("protect", 0, 2, "steps"),
        ("protect/save", 1, 1, "steps"),
        ("protect/later", 1, 2, "steps"),
        ("protect/prune", 1, 2, "steps"),
        ("protect/tidy", 1, 1, "finally"),
        ("one", 0, 1, "steps"),
        ("few", 0, 2, "steps"),
        ("told", 0, 1, "finally"),
    ]


def test_batches_cut_the_hosts_and_the_last_repeats() -> None:
    row = next(row for row in view_plan(planned()).rows if row.path == "protect")
    assert [[each.host for each in batch.hosts] for batch in row.batches] == [["h1"], ["h2", "h3"], ["h4"]]
    assert [batch.number for batch in row.batches] == [1, 2, 3]


def test_hosts_show_items_and_what_is_skipped() -> None:
    rows = {row.path: row for row in view_plan(planned()).rows}
    first = rows["protect/save"].batches[0].hosts[0]
    assert first.parameters == {"password": "secret://restic/h1"}
    assert first.items is not None
    assert [(item.key, item.parameters) for item in first.items] == [("a", {"path": "a"}), ("b", {"path": "b"})]
    assert [each.skipped for each in rows["one"].batches[0].hosts] == [False, True, True, True]


def test_what_matters_is_named() -> None:
    view = view_plan(planned())
    assert view.irreversible == ("protect/prune",)
    assert view.destructive == ("protect/prune",)
    assert view.secrets == tuple(f"restic/h{number}" for number in range(1, 5))
    assert view.hosts == ("h1", "h2", "h3", "h4")


def test_what_is_known_at_run_time_is_said() -> None:
    rows = {row.path: row for row in view_plan(planned()).rows}
    assert rows["protect/later"].run_time == ("items: up to 50, known at run time", "parameter argv")
    assert rows["few"].run_time == ("hosts: up to 1, those where one succeeds",)
    assert rows["told"].run_time == ("parameter text",)
    assert rows["protect/save"].run_time == ()


def test_step_runs_are_counted() -> None:
    view = view_plan(planned())
    by_path = {row.path: (row.step_runs, row.most_step_runs) for row in view.rows}
    assert by_path["protect/save"] == (8, 8)
    assert by_path["protect/later"] == (4, 200)
    assert by_path["one"] == (1, 1)
    assert by_path["few"] == (1, 1)
    assert by_path["told"] == (1, 1)
    assert view.step_runs == 4 + 8 + 4 + 4 + 4 + 1 + 1 + 1
    assert view.most_step_runs == view.step_runs + 196


def test_previews_are_asked_where_all_is_known_and_put_into_their_rows() -> None:
    made = planned()
    asked = {each.key: each for each in preview_questions(made)}
    assert ("protect/save", "h2", "b") in asked
    assert asked["protect/save", "h2", "b"].parameters == {"password": "secret://restic/h2", "path": "b"}
    assert {path for path, _, _ in asked} == {"protect/save", "protect/prune", "one"}
    assert [host for path, host, _ in asked if path == "one"] == ["h1"]
    answer = PreviewAnswer({"changes": []})
    view = view_plan(made, previews={("protect/save", "h2", "b"): answer})
    save = next(row for row in view.rows if row.path == "protect/save")
    items = next(each for each in save.batches[0].hosts if each.host == "h2").items
    assert items is not None
    assert items[1].preview == answer


HOSTS = tuple(f"h{number}" for number in range(1, 8))


def batches(rollout: Rollout) -> tuple[BatchRow, ...]:
    made = plan(
        '{targets: {select: "true"}, steps: [{id: a, type: command.run, parameters: {argv: [x]}}]}', *FLEET
    ).plan
    step = replace(made.steps[0], hosts=HOSTS, rollout=rollout)
    (row,) = view_plan(replace(made, steps=(step,))).rows
    return row.batches


@pytest.mark.parametrize(
    ("rollout", "sizes"),
    [
        (Rollout(), [7]),
        (Rollout(batches=(Batch(Share(1)), Batch(Share(3)))), [1, 3, 3]),
        (Rollout(batches=(Batch(Share(50, percent=True)),)), [4, 3]),
        (Rollout(batches=(Batch(Share(100)),)), [7]),
    ],
)
def test_hosts_are_cut_as_the_rollout_says(rollout: Rollout, sizes: list[int]) -> None:
    found = batches(rollout)
    assert [len(each.hosts) for each in found] == sizes
    assert [host.host for each in found for host in each.hosts] == list(HOSTS)


def test_nothing_waits_after_the_last_batch() -> None:
    found = batches(Rollout(batches=(Batch(Share(4), wait=5, gate="look"),)))
    assert [(each.wait, each.gate) for each in found] == [(5, "look"), (0, "")]
