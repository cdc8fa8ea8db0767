"""A plan in parts: nothing of it is lost, and each host's part says what that host does."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_coordinator.domain.planning.codec import content, digest, divided
from pilotage_coordinator.domain.planning.slices import Parts
from pilotage_proto.canonical import digest as digest_of

from tests.unit.planning.fleet import host, plan

FLEET = tuple(host(name, vars={"zone": f"z-{name}", "docker_host": "unix:///s"}) for name in ("db1", "db2", "web1"))
TEXT = """
targets: {hosts: [db1, db2]}
approvals: [{step: save, required: 1}]
steps:
  - {id: find, type: discovery.data, targets: {hosts: [web1]}}
  - id: save
    type: backup.create
    requires_approval: true
    parameters: {path: "/srv/${{ host.vars.zone }}", same: "${{ parameters.keep }}"}
    undo: [{id: back, type: command.run, parameters: {argv: [rm, "${{ host.name }}"]}}]
  - id: each
    rollout: {max_parallel: 1}
    requires_approval: true
    steps:
      - {id: write, type: file.write, parameters: {path: "/x"}}
  - {id: after, type: http.check, dependencies: [save], targets: {from: save}, parameters: {url: "http://x"}}
  - {id: tell, type: notify.send, parameters: {channel: ops, title: "${{ execution.id }}"}}
parameters: {keep: {type: string, default: k}}
"""
MADE = plan(TEXT, *FLEET).plan
PARTS = divided(MADE)


def names(host: str) -> set[str]:
    return set(PARTS.slices[host]["steps"])


def test_each_host_has_the_steps_that_it_may_be_asked_to_do_and_no_others() -> None:
    assert names("web1") == {"find"}
    assert names("db1") == names("db2") == {"save", "save/back", "each/write", "after"}
    assert "tell" not in PARTS.steps


def test_a_slice_names_its_host_and_says_what_its_expressions_come_to() -> None:
    slice_ = PARTS.slices["db2"]
    assert (slice_["host"], slice_["host_id"]) == ("db2", "hst_db2")
    assert slice_["variables"] == {"docker_host": "unix:///s"}
    assert slice_["steps"]["save"]["own"] == {"parameters": {"path": "/srv/z-db2"}}
    assert PARTS.steps["save"]["common"] == {"parameters": {"same": "k"}}
    assert slice_["steps"]["save"]["step"] == digest_of(PARTS.steps["save"])


def test_what_puts_in_order_waits_for_no_gate_and_what_is_inside_waits_for_those_around() -> None:
    guards = {path: each["guards"] for path, each in PARTS.steps.items()}
    assert guards["save"] == ["save!approval", "save!approval#2"]
    assert guards["each/write"] == ["each!approval"]
    assert guards["save/back"] == guards["find"] == []


def test_nothing_of_the_content_is_in_no_part() -> None:
    whole = content(MADE)
    for path, by_host in whole["resolved"].items():
        for name, value in by_host.items():
            kept = PARTS.head["resolved"].get(path, {}).get(name)
            own = PARTS.slices.get(name, {"steps": {}})["steps"].get(path, {}).get("own")
            common = PARTS.steps[path]["common"] if path in PARTS.steps and not name else None
            assert value in (kept, own, common)
    assert {name: each for name, each in whole.items() if name != "resolved"}.items() <= PARTS.head.items()


@settings(max_examples=60)
@given(st.data())
def test_any_change_of_a_slice_is_another_plan(data: st.DataObject) -> None:
    where = data.draw(st.sampled_from(sorted(PARTS.slices)))
    slice_: dict[str, Any] = {**PARTS.slices[where]}
    match data.draw(st.sampled_from(["host", "host_id", "variables", "steps"])):
        case "steps":
            path = data.draw(st.sampled_from(sorted(slice_["steps"])))
            slice_["steps"] = {**slice_["steps"], path: {"step": "sha256:" + "0" * 64}}
        case "variables":
            slice_["variables"] = {"docker_host": "unix:///elsewhere"}
        case name:
            slice_[name] = data.draw(st.text(max_size=4))
    changed = Parts(PARTS.head, {**PARTS.slices, where: slice_}, PARTS.steps)
    assert PARTS.digest == MADE.digest == digest(MADE)
    assert changed.digest != MADE.digest
