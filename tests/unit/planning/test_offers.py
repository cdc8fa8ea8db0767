"""What hosts offer for a parameter with `choices_from`: who is asked what, and what a plan makes of the answers."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.planner import ask_for_offers, make_plan
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest, Questions, ReadAnswer

from tests.unit.planning.fleet import Answers, host, plan_request, stored, world

BLUEPRINT = """
version: "1.0.0"
parameters:
  hosts: {type: hosts, default: [db1, db2]}
  folder:
    type: string
    required: true
    default: /srv
    choices_from: {type: discovery.data, values: found.path, parameters: {roots: [/srv]}}
    validation: {that: "parameters.folder != parameters.reason"}
  folders: {type: list, items: string, choices_from: {type: discovery.data, values: found.path}}
  reason: {type: string, required: true}
targets: {hosts: "${{ parameters.hosts }}"}
steps:
  - {id: look, type: command.run, parameters: {argv: [ls, "${{ parameters.folder }}"]}}
"""
FOUND = {
    "db1": {"found": [{"path": "/srv/a"}, {"path": "/srv/b"}, {"path": "/srv/a"}], "left_out": 0},
    "db2": {"found": [{"path": "/srv/b"}, {"size": 3}, "odd"]},
}


def request(**given: Any) -> PlanRequest:
    return PlanRequest(stored(BLUEPRINT), given)


def answers(**more: Any) -> Answers:
    return Answers(
        {
            (f"parameters.{name}", host): outputs if isinstance(outputs, ReadAnswer) else ReadAnswer(outputs)
            for name in ("folder", "folders")
            for host, outputs in {**FOUND, **more}.items()
        }
    )


def planned(more: Answers | None = None, **given: Any) -> Planned:
    return plan_request(request(reason="r", **given), world(), more or answers())


def test_the_hosts_that_are_meant_are_asked_while_other_values_are_missing() -> None:
    asking = ask_for_offers(request(), world(), "folder")
    assert [(each.host, each.step_type, each.parameters) for each in asking.questions] == [
        ("db1", "discovery.data", {"roots": ["/srv"]}),
        ("db2", "discovery.data", {"roots": ["/srv"]}),
    ]
    offers = asking.offers({each.key: answers()(each.key) for each in asking.questions})
    assert offers.values == {"/srv/a": ("db1",), "/srv/b": ("db1", "db2")}
    assert offers.all_told
    assert [each.host for each in ask_for_offers(request(hosts=["web1"]), world(), "folder").questions] == ["web1"]
    narrowed = replace(request(), limit_to="name=db2")
    assert [each.host for each in ask_for_offers(narrowed, world(), "folder").questions] == ["db2"]


def test_who_is_silent_is_told_and_why() -> None:
    where = world((host("db1"), host("db2", online=False), host("db3")))
    asking = ask_for_offers(request(hosts=["db1", "db2", "db3"]), where, "folder")
    said = {"db1": ReadAnswer({"found": 3}), "db3": ReadAnswer(error="no Docker socket")}
    offers = asking.offers({each.key: said[each.host] for each in asking.questions})
    assert offers.untold == {
        "db1": "its discovery.data tells no list `found`",
        "db2": "it is offline",
        "db3": "no Docker socket",
    }


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("folder", {"hosts": ["nobody"]}, "nobody"),
        ("folder", {"wrong": 1}, "wrong"),
        ("folders_", {}, "did you mean `folders`"),
        ("reason", {}, "has no parameter `reason` with `choices_from`"),
    ],
)
def test_what_cannot_be_asked_is_refused(name: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        ask_for_offers(request(**given), world(), name)
    assert words in str(refused.value)


def test_a_plan_asks_about_what_was_chosen_and_about_nothing_else() -> None:
    assert isinstance(make_plan(request(reason="r"), world()), Planned)
    assert isinstance(make_plan(request(reason="r", folder="/srv"), world()), Planned)
    outcome = make_plan(request(reason="r", folder="/srv/b"), world())
    assert isinstance(outcome, Questions)
    assert [each.key for each in outcome.questions] == [("parameters.folder", "db1"), ("parameters.folder", "db2")]
    assert planned(folder="/srv/b").plan.digest == planned(answers(db2={"found": []}), folder="/srv/b").plan.digest
    assert planned(folders=["/srv/a", "/srv/b"]).notes == ()


@pytest.mark.parametrize(("given", "value"), [({"folder": "/srv/c"}, "/srv/c"), ({"folders": ["/srv/a", "/d"]}, "/d")])
def test_what_no_host_has_is_refused(given: dict[str, Any], value: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        planned(**given)
    (problem,) = refused.value.problems
    (name,) = given
    assert problem.message == f"parameter `{name}`: no host has `{value}` (discovery.data was asked)"


@pytest.mark.parametrize(
    ("silent", "words"),
    [
        (ReadAnswer(error="no Docker socket"), "db2: no Docker socket"),
        ({"found": [], "left_out": 7}, "db2: it has more than it can tell at once"),
    ],
)
def test_what_nobody_can_tell_is_a_note(silent: Any, words: str) -> None:
    (note,) = planned(answers(db2=silent), folder="/srv/c").notes
    assert note.message == f"parameter `folder`: whether any host has `/srv/c` is not known ({words})"


def test_a_host_that_is_away_refuses_nothing() -> None:
    where = world((host("db1"), host("db2", online=False)))
    (note,) = [
        each
        for each in plan_request(request(reason="r", folder="/srv/c"), where, answers()).notes
        if "parameter" in each.message
    ]
    assert "db2: it is offline" in note.message
