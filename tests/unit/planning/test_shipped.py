"""Every shipped blueprint can be planned over a fleet that has what it asks for."""

from collections.abc import Mapping
from typing import Any

import pytest
from pilotage_blueprints import shipped
from pilotage_coordinator.domain.blueprint.expand import content_digest
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.plan import BlueprintRef, Effect
from pilotage_coordinator.domain.planning.codec import from_json, to_json
from pilotage_coordinator.domain.planning.difference import differences
from pilotage_coordinator.domain.planning.previews import preview_questions
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest, StoredBlueprint
from pilotage_coordinator.domain.planning.secrets import secret_places
from pilotage_coordinator.domain.planning.view import view_plan
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_plugin_api.catalogue import load_catalogue

from tests.unit.planning.fleet import Answers, host, plan_request, step, world

BLUEPRINTS = {each.id: each for name, text in shipped() for each in load_blueprints(text, name)}
GIVEN: dict[str, Mapping[str, Any]] = {
    "quick_backup": {"paths": ["/home"], "repository": "/mnt/b", "hosts": "db1"},
    "safe_container_upgrade": {"hosts": {"select": "true"}, "image": "shop/app:2"},
}
WITHOUT_SECRETS = {"safe_container_upgrade"}
RESOLVED = {"image": "shop/app:2", "ref": "shop/app@sha256:" + "0" * 64, "digest": "sha256:" + "0" * 64}
FOUND: dict[str, Any] = {
    "volumes": [{"name": "srv", "path": "/srv", "bytes": 5, "exclude": []}],
    "databases": [{"engine": "sqlite", "name": "app", "path": "/srv/app.db", "bytes": 7}],
    "scratch_free_bytes": 10**9,
}


def step_types() -> dict[str, StepTypeInfo]:
    """What a host with the built-in plugins announces."""
    return {
        each["name"]: StepTypeInfo(
            name=each["name"],
            effect=Effect(each["effect"]),
            destructive=each["destructive"],
            params_schema=each["params_schema"],
            distribution=each["distribution"],
            version=each["version"],
            digest="sha256:" + each["name"],
        )
        for each in load_catalogue().describe()
    }


def planned(blueprint: Blueprint, hosts: int = 3) -> Planned:
    ref = BlueprintRef(blueprint.id, blueprint.version, content_digest(blueprint))
    types = step_types()
    fleet = [host(f"db{number}", step_types=types) for number in range(1, hosts + 1)]
    request = PlanRequest(StoredBlueprint(ref, blueprint), GIVEN.get(blueprint.id, {}))
    return plan_request(request, world(fleet), Answers(by_path={"discover": FOUND, "resolve": RESOLVED}))


@pytest.mark.parametrize("id", BLUEPRINTS)
def test_it_is_planned_shown_and_kept(id: str) -> None:
    found = planned(BLUEPRINTS[id])
    assert from_json(to_json(found.plan)) == found.plan
    view = view_plan(found.plan)
    assert view.step_runs > 0
    assert bool(view.secrets) == (id not in WITHOUT_SECRETS)


def test_the_fleet_backup_is_planned_host_by_host() -> None:
    found = planned(BLUEPRINTS["fleet_backup_orchestration"])
    part = found.plan.resolved["protect/volumes"]["db2"]
    assert part.items == ("srv",)
    assert part.item_parameters[0]["paths"] == ["/srv"]
    assert step(found, "protect/databases").planned_items["db1"] == FOUND["databases"]
    assert "protect/prune" in view_plan(found.plan).irreversible
    asked = {each.key for each in preview_questions(found.plan)}
    assert ("protect/volumes", "db3", "srv") in asked


def test_data_that_grows_makes_no_approved_plan_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint = BLUEPRINTS["fleet_backup_orchestration"]
    approved = planned(blueprint)
    grown = {
        key: [{**each, "bytes": 10**6} for each in value] for key, value in FOUND.items() if isinstance(value, list)
    }
    for key, value in {**grown, "scratch_free_bytes": 1}.items():
        monkeypatch.setitem(FOUND, key, value)
    assert differences(approved.plan, planned(blueprint).plan) == ()


def test_the_secrets_that_a_plan_needs_are_those_of_its_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GIVEN, "fleet_backup_orchestration", {"password": "secret://restic/{host}"})
    found = secret_places(planned(BLUEPRINTS["fleet_backup_orchestration"]).plan)
    assert {"restic/db1", "restic/db2", "restic/db3"} <= found.keys()
    assert not any("{" in name for name in found)
    assert ("protect/volumes", "parameters.password") in found["restic/db2"]
