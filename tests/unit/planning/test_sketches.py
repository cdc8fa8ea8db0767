"""The workflows written to test the language are planned, but for what waits for later: locks, windows, approvals."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.blueprint.expand import content_digest
from pilotage_coordinator.domain.blueprint.features import ALL
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint, RollbackPlan, Step
from pilotage_coordinator.domain.blueprint.rollout import Rollout
from pilotage_coordinator.domain.plan import BlueprintRef, Effect, Place, Plan
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.request import PlanRequest, StoredBlueprint

from tests.unit.blueprint.writing import SKETCHES
from tests.unit.planning.fleet import Answers, host, plan_request, step_type, world

READS = {"backup.list", "discovery.data", "package.plan", "container.resolve_image", "http.check", "http.measure"}
READS |= {"backup.verify", "container.health", "validation.assert"}
HERE = {"validation.assert", "approval.ask", "notify.send", "notify.silence", "notify.unsilence", "host.cordon"}
HERE |= {"host.take_over"}
ANSWERS = Answers(
    by_path={
        "resolve": {"ref": "web@sha256:1"},
        "pending": {"count": 2},
        "snapshots": {"snapshots": [{"id": "s1", "bytes": 10}, {"id": "s2", "bytes": 20}]},
        "discover": {"volumes": [], "databases": []},
        "fresh_backup/discover": {
            "volumes": [{"name": "v", "path": "/v", "containers": [], "bytes": 1}],
            "databases": [],
        },
        "first_backup/discover": {"volumes": [], "databases": []},
    }
)
DB = ("db1", "db2", "db3")
GIVEN: dict[str, dict[str, Any]] = {
    "fleet_backup_orchestration": {},
    "patch_db_cluster": {"cluster": "main"},
    "safe_container_upgrade": {"hosts": ["db1", "db2", "db3"], "container": "web", "image": "web:2"},
    "blue_green_fleet": {"image": "web:2", "live": "blue", "lb": "db1"},
    "disaster_recovery": {"lost": "db3", "replacement": "db1"},
}


def built(blueprint: Blueprint) -> Blueprint:
    """Return the blueprint without what is not built yet."""
    plan = blueprint.rollback_plan
    return replace(
        blueprint,
        locks=(),
        windows=None,
        steps=_steps(blueprint.steps),
        finally_=_steps(blueprint.finally_),
        rollback_plan=None if plan is None else RollbackPlan(plan.conditions, _steps(plan.actions)),
    )


def _steps(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(
        replace(
            each,
            locks=(),
            steps=_steps(each.steps),
            finally_=_steps(each.finally_),
            undo_steps=_steps(each.undo_steps),
            rollout=None if each.rollout is None else _rollout(each.rollout),
        )
        for each in steps
    )


def _rollout(rollout: Rollout) -> Rollout:
    return replace(rollout, refresh=_steps(rollout.refresh), analysis=_steps(rollout.analysis))


def sketches() -> dict[str, StoredBlueprint]:
    found: dict[str, StoredBlueprint] = {}
    for file in sorted(SKETCHES.glob("*-*.yaml")):
        for blueprint in load_blueprints(file.read_text("utf-8"), file.name, ALL):
            ref = BlueprintRef(blueprint.id, blueprint.version, content_digest(blueprint))
            found[blueprint.id] = StoredBlueprint(ref, built(blueprint))
    return found


def planned(id: str) -> Plan:
    books = sketches()
    names = {each.type for book in books.values() for each in book.blueprint.all_steps() if each.type}
    types = {
        name: step_type(name, Effect.READ if name in READS else Effect.ONCE, author_effects=(Effect.READ,))
        for name in sorted(names)
    }
    own = {name: replace(types.pop(name), place=Place.COORDINATOR) for name in HERE & names}
    labels = {"backup": "yes", "cluster": "main", "colour": "green"}
    facts: dict[str, Any] = {
        "packages_manual": ["jq"],
        "compose_projects": [{"name": "shop", "directory": "/srv/shop"}],
    }
    lost = "db3" if id == "disaster_recovery" else ""
    hosts = [host(name, labels=labels, step_types=types, facts=facts, online=name != lost) for name in DB]
    where = world(hosts, *books.values(), step_types=own)
    return plan_request(PlanRequest(books[id], GIVEN[id]), where, ANSWERS).plan


@pytest.mark.parametrize("id", sorted(GIVEN.keys() - {"blue_green_fleet"}))
def test_a_sketch_is_planned(id: str) -> None:
    plan = planned(id)
    assert plan.blueprint.id == id
    assert plan.steps


def test_a_sketch_that_measures_on_the_coordinator_is_refused_for_that_alone() -> None:
    """The coordinator runs no plugins, so that step needs a host."""
    with pytest.raises(PlanRefused) as refused:
        planned("blue_green_fleet")
    assert {each.path for each in refused.value.problems} == {"watch"}
    assert "runs no plugins" in refused.value.problems[0].message


def test_every_sketch_is_tried() -> None:
    assert sketches().keys() == GIVEN.keys()
