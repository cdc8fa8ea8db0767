"""A plan as people are shown it holds what its digest binds: items and values, host by host."""

from typing import Any

import pytest
from pilotage_coordinator.cli.render.plan import plan_lines
from pilotage_coordinator.service.plan_view import plan_answer

from tests.unit.planning.test_view import planned
from tests.unit.service.desk import FakePlanned


@pytest.fixture(scope="module")
def shown() -> Any:
    return plan_answer(FakePlanned(planned())).model_dump(mode="json")


def step(shown: Any, *numbers: int) -> Any:
    found = shown
    for number in numbers:
        found = found["steps"][number]
    return found


def test_each_host_has_its_items_and_what_they_are_given(shown: Any) -> None:
    save = step(shown, 1, 0)
    assert (save["path"], save["loops"], save["max_items"]) == ("protect/save", True, 0)
    assert [each["host"] for each in save["hosts"]] == ["h1", "h2", "h3", "h4"]
    assert save["hosts"][1] == {
        "host": "h2",
        "skipped": False,
        "parameters": {"password": "secret://restic/h2"},
        "items": [{"key": "a", "parameters": {"path": "a"}}, {"key": "b", "parameters": {"path": "b"}}],
    }


def test_what_only_run_time_knows_is_said_and_bounded(shown: Any) -> None:
    later = step(shown, 1, 1)
    assert (later["max_items"], later["run_time"]) == (50, ["items: up to 50, known at run time", "parameter argv"])
    assert later["hosts"][0]["items"] is None
    assert (shown["step_runs"], shown["most_step_runs"]) == (27, 223)
    assert shown["secrets"] == ["restic/h1", "restic/h2", "restic/h3", "restic/h4"]


def test_hosts_where_a_condition_does_not_hold_are_told(shown: Any) -> None:
    assert [each["host"] for each in step(shown, 2)["hosts"] if each["skipped"]] == ["h2", "h3", "h4"]


def test_the_lines_name_the_items_and_on_request_every_value(shown: Any) -> None:
    text = "\n".join(line.text for line in plan_lines(shown))
    assert text.startswith("Plan for nightly@0.0.0 on 4 hosts, 27 to 223 step runs\nhosts h1, h2, h3, h4\n")
    assert "2.1. save  backup.create (once), for each of 8 items\n          h1, h2, h3, h4: a, b\n" in text
    assert "for each of up to 50 items, known at run time" in text
    assert "not on: h2, h3, h4 (its condition does not hold there)" in text
    assert "secret://restic/h2" not in text
    values = "\n".join(line.text for line in plan_lines(shown, values=True))
    assert "          h2: password = secret://restic/h2\n          h2[a]: path = a\n" in values
    assert 'argv = ["${{ item.item }}"]' in values
    assert 'argv = ["<sensitive>"]' in values
    assert "hunter2" not in values
    assert "          keep = 3\n" in values
