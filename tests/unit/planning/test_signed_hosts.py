"""A plan tells which steps hosts do only when people have signed it."""

from dataclasses import replace
from typing import Any

from tests.unit.planning.fleet import host, plan

TEXT = """
targets: {hosts: [db1, db2]}
steps:
  - {id: look, type: discovery.data}
  - {id: prune, type: backup.prune%s}
"""
DEMAND: dict[str, Any] = {"steps": "destructive", "quorum": 2, "approvers": 3, "unsigned": []}


def notes(asked: str = "", **demand: Any) -> list[tuple[str, str, str]]:
    guarded = host("db1", facts={"signed_plans": {**DEMAND, **demand}})
    made = plan(TEXT % asked, guarded, host("db2"))
    return [(each.path, each.host, each.message) for each in made.notes if "signed" in each.message]


def test_it_names_step_and_host_and_that_nobody_is_asked() -> None:
    ((path, where, said),) = notes()
    assert (path, where) == ("prune", "db1")
    assert "2 of the approvers" in said
    assert "nobody is asked to approve it" in said


def test_where_people_are_asked_it_only_tells_how_many_must_sign() -> None:
    ((_, _, said),) = notes(", requires_approval: true", quorum=1)
    assert "one of the approvers" in said
    assert "nobody" not in said


def test_a_host_may_want_every_step_signed_or_some_types_never() -> None:
    assert [path for path, _, _ in notes(steps="all")] == ["look", "prune"]
    assert notes(steps="all", unsigned=["discovery.*", "backup.*"]) == []


def test_what_a_host_asks_for_is_no_part_of_the_digest() -> None:
    bare = host("db1")
    asking = replace(bare, facts={"signed_plans": DEMAND})
    assert plan(TEXT % "", bare, host("db2")).plan.digest == plan(TEXT % "", asking, host("db2")).plan.digest
