"""What the digest covers, and what it does not."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.planning.codec import content, digest
from pilotage_coordinator.domain.planning.difference import differences
from pilotage_coordinator.domain.planning.drift import HostDrift, host_drift, value_drift
from pilotage_coordinator.domain.planning.pins import pins_of
from pilotage_coordinator.domain.planning.planned_values import PlannedValues
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest

from tests.unit.planning.fleet import STEP_TYPES, Answers, host, plan, plan_request, step, step_type, stored, world

TEXT = """
version: "1.0.0"
parameters: {keep: {type: object, default: {daily: 7, weekly: 4}}, token: {type: string, sensitive: true, default: s}}
targets: {select: "host.labels.role == 'db'"}
steps:
  - {id: find, type: discovery.data, at_plan: true}
  - id: save
    dependencies: [find]
    for_each: "${{ steps.find.outputs.volumes }}"
    key: "${{ item.name }}"
    type: backup.create
    parameters: {path: "${{ item.path }}", zone: "${{ host.vars.zone }}", keep: "${{ parameters.keep }}"}
    undo: [{id: back, type: command.run, parameters: {argv: [rm, "${{ item.path }}"]}}]
"""
VOLUMES = [{"name": "v1", "path": "/v1", "bytes": 5}, {"name": "v2", "path": "/v2", "bytes": 6}]
FLEET = tuple(host(name, vars={"zone": "a"}, facts={"free": 1}) for name in ("db1", "db2"))


def made(text: str = TEXT, fleet: tuple[Host, ...] = FLEET, volumes: Any = VOLUMES, **request: Any) -> Planned:
    return plan(text, *fleet, answers=Answers(by_path={"find": {"volumes": volumes}}), **request)


def test_it_is_the_digest_of_the_content_and_repeats() -> None:
    one, other = made(), made()
    assert one.plan.digest == digest(one.plan) == other.plan.digest
    assert one.plan == other.plan


UNRELATED: dict[str, dict[str, Any]] = {
    "another host joins": {"fleet": (*FLEET, host("web1", labels={"role": "web"}, vars={"zone": "b"}))},
    "free bytes change": {"fleet": tuple(replace(each, facts={"free": 2}) for each in FLEET)},
    "sizes change": {"volumes": [{**each, "bytes": 77} for each in VOLUMES]},
    "a host goes offline for a moment and is back": {"fleet": tuple(replace(each, last_seen=5) for each in FLEET)},
    "a label that nobody asks for": {"fleet": tuple(replace(each, labels={**each.labels, "x": "y"}) for each in FLEET)},
    "a step type that is not used": {
        "fleet": tuple(replace(each, step_types={**STEP_TYPES, "a.b": step_type("a.b")}) for each in FLEET)
    },
    "parameters in another order": {"parameters": {"keep": {"weekly": 4, "daily": 7}}},
    "the hosts in another order": {"fleet": FLEET[::-1]},
}


@pytest.mark.parametrize("change", UNRELATED)
def test_what_changes_by_itself_or_elsewhere_leaves_it(change: str) -> None:
    assert made(**UNRELATED[change]).plan.digest == made().plan.digest


NEWER = {**STEP_TYPES, "backup.create": step_type("backup.create", version="1.0.1")}
SCHEMA = {**STEP_TYPES, "backup.create": replace(STEP_TYPES["backup.create"], digest="sha256:other")}
RELATED: dict[str, dict[str, Any]] = {
    "a parameter": {"parameters": {"keep": {"daily": 8, "weekly": 4}}},
    "a sensitive parameter": {"parameters": {"token": "t"}},
    "one host more": {"fleet": (*FLEET, host("db3", vars={"zone": "a"}))},
    "one host less": {"limit_to": "name=db1"},
    "a plugin's version on one host": {"fleet": (FLEET[0], replace(FLEET[1], step_types=NEWER))},
    "a plugin's version": {"fleet": tuple(replace(each, step_types=NEWER) for each in FLEET)},
    "a schema": {"fleet": tuple(replace(each, step_types=SCHEMA) for each in FLEET)},
    "a host's name on another machine": {"fleet": (replace(FLEET[0], id="hst_anew"), FLEET[1])},
    "an item more": {"volumes": [*VOLUMES, {"name": "v3", "path": "/v3", "bytes": 0}]},
    "an item less": {"volumes": VOLUMES[:1]},
    "the order of items": {"volumes": VOLUMES[::-1]},
    "what an item's parameter comes to": {"volumes": [{**each, "path": "/elsewhere"} for each in VOLUMES]},
    "a host's variable that is used": {"fleet": (FLEET[0], replace(FLEET[1], vars={"zone": "b"}))},
    "the undo": {"text": TEXT.replace("[rm,", "[mv,")},
    "any word of the blueprint": {"text": TEXT.replace('version: "1.0.0"', 'version: "1.0.0"\nowner: x')},
    "a condition": {"text": TEXT.replace("id: save\n", "id: save\n    when: 'host.facts.free > 0'\n")},
}


@pytest.mark.parametrize("change", RELATED)
def test_what_decides_what_happens_changes_it(change: str) -> None:
    assert made(**RELATED[change]).plan.digest != made().plan.digest


@pytest.mark.parametrize("change", [each for each in RELATED if each != "the order of items"])
def test_differences_are_named(change: str) -> None:
    other = made(**RELATED[change])
    assert differences(made().plan, other.plan)
    assert not differences(other.plan, other.plan)


def test_differences_name_step_host_and_value() -> None:
    said = differences(made().plan, made(volumes=VOLUMES[:1]).plan)
    assert any("resolved.save.db1.items: gone: v2" in each for each in said)


def test_the_content_holds_no_answers() -> None:
    assert "planned_outputs" not in str(content(made().plan))
    assert "planned_items" not in str(content(made().plan))


def test_run_once_stays_pinned_when_an_earlier_host_comes_online() -> None:
    text = "targets: {select: 'true'}\nsteps: [{id: a, run_once: true, type: command.run, parameters: {argv: [x]}}]"
    late = (replace(FLEET[0], online=False), FLEET[1])
    approved = plan(text, *late)
    again = plan_request(PlanRequest(stored(text), pins=pins_of(approved.plan)), world(FLEET))
    assert step(again, "a").hosts == ("db2",)
    assert again.plan.digest == approved.plan.digest


def said(drift: HostDrift | None) -> str:
    return drift.text if drift is not None else ""


def test_a_host_is_checked_at_dispatch() -> None:
    found = made()
    save = step(found, "save")
    assert host_drift(found.plan, save, FLEET[0]) is None
    assert "cannot run backup.create any more" in said(host_drift(found.plan, save, replace(FLEET[0], step_types={})))
    assert "comes from pilotage 1.0.1" in said(host_drift(found.plan, save, replace(FLEET[0], step_types=NEWER)))
    assert "of another form" in said(host_drift(found.plan, save, replace(FLEET[0], step_types=SCHEMA)))


def test_the_same_change_on_two_hosts_is_one_change() -> None:
    found = made()
    save = step(found, "save")
    changes = {host_drift(found.plan, save, replace(each, step_types=NEWER)) for each in FLEET[:2]}
    assert len({each.change for each in changes if each is not None}) == 1
    assert len(changes) == 2


def test_a_host_that_joined_anew_under_its_old_name_is_another_machine() -> None:
    found = made()
    assert found.plan.host_ids == {each.name: each.id for each in FLEET if each.name in found.plan.host_ids}
    anew = replace(FLEET[0], id="hst_anew")
    drift = host_drift(found.plan, step(found, "save"), anew)
    assert drift is not None
    assert drift.other_machine
    assert "hst_anew" in drift.text
    assert made(fleet=(anew, *FLEET[1:])).plan.digest != found.plan.digest


def test_a_value_that_is_another_one_than_planned_is_drift() -> None:
    text = """
      targets: {hosts: [db1]}
      steps:
        - id: a
          type: file.write
          when: host.labels.role == 'db'
          parameters: {path: "/${{ host.labels.role }}", content: ["${{ host.facts.os }}", fixed]}
    """
    approved = plan(text, FLEET[0]).plan
    (written,) = approved.steps
    as_planned = {"path": "/db", "content": ["Debian", "fixed"]}
    assert value_drift(PlannedValues(approved.resolved), written, "db1", "", as_planned) is None
    drift = value_drift(PlannedValues(approved.resolved), written, "db1", "", {**as_planned, "path": "/web"})
    assert drift is not None
    assert "parameter path of a on db1 is /web, planned was /db" in drift.text
    left_out = plan(text, host("db1", labels={"role": "web"})).plan
    drift = value_drift(PlannedValues(left_out.resolved), left_out.steps[0], "db1", "", as_planned)
    assert drift is not None
    assert "was not to run on db1" in drift.text


def test_a_host_with_another_version_is_checked_against_its_own() -> None:
    newer = replace(FLEET[1], step_types=NEWER)
    found = made(fleet=(FLEET[0], newer, host("db3", vars={"zone": "a"})))
    save = step(found, "save")
    assert host_drift(found.plan, save, newer) is None
    assert "planned was pilotage 1.0.1" in said(host_drift(found.plan, save, FLEET[1]))


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.dictionaries(st.text(max_size=5), st.integers(-9, 9), max_size=6))
def test_the_order_of_mappings_never_counts(chance: random.Random, keep: dict[str, int]) -> None:
    shuffled = list(keep.items())
    chance.shuffle(shuffled)
    one = made(parameters={"keep": keep}).plan.digest
    assert one == made(parameters={"keep": dict(shuffled)}).plan.digest


facts = st.dictionaries(st.sampled_from(["free", "load", "disks"]), st.integers(0, 2**50), max_size=3)
others = st.lists(st.from_regex(r"web[0-9]{1,3}", fullmatch=True), unique=True, max_size=4)


@settings(max_examples=30)
@given(facts, others, st.integers(0, 2**50))
def test_facts_other_hosts_and_sizes_never_count(found: dict[str, int], names: list[str], size: int) -> None:
    fleet = tuple(replace(each, facts=found) for each in FLEET)
    strangers = tuple(host(name, labels={"role": "web"}, facts=found) for name in names)
    volumes = [{**each, "bytes": size} for each in VOLUMES]
    assert made(fleet=(*strangers, *fleet), volumes=volumes).plan.digest == made().plan.digest


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
def test_any_other_list_of_items_counts(keys: list[str]) -> None:
    volumes = [{"name": key, "path": "/v", "bytes": 1} for key in keys]
    same = made(volumes=[dict(each) for each in volumes]).plan
    assert same.digest == made(volumes=volumes).plan.digest
    assert same.digest != made(volumes=[*volumes, {"name": "x" * 5, "path": "/v", "bytes": 1}]).plan.digest
