"""Every shipped blueprint can be planned over a fleet that has what it asks for."""

from collections.abc import Mapping
from typing import Any

import pytest
from pilotage_blueprints import shipped
from pilotage_coordinator.domain.blueprint.expand import content_digest
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import BlueprintRef, Effect
from pilotage_coordinator.domain.planning.codec import from_json, to_json
from pilotage_coordinator.domain.planning.difference import differences
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.previews import preview_questions
from pilotage_coordinator.domain.planning.request import Planned, PlanRequest, StoredBlueprint
from pilotage_coordinator.domain.planning.secrets import named_secrets
from pilotage_coordinator.domain.planning.view import view_plan
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_plugin_api.catalogue import load_catalogue

from tests.unit.planning.fleet import Answers, host, plan_request, step, world

BLUEPRINTS = {each.id: each for name, text in shipped() for each in load_blueprints(text, name)}
GIVEN: dict[str, Mapping[str, Any]] = {
    "compose_stack": {"hosts": ["db1", "db2"], "directory": "/srv/shop", "env": {"TOKEN": "secret://shop/token"}},
    "replica_upgrade": {"hosts": "db1", "label": "app=shop", "image": "shop/app:2", "canaries": 2, "port": 8080},
    "config_rollout": {"hosts": ["db1", "db2"], "path": "/etc/site.conf", "content": "new", "unit": "nginx"},
    "patch_and_reboot": {"hosts": ["db1", "db2"], "services": ["nginx"]},
    "backup_prune": {"keeper": "db3", "hosts": ["db1", "db2"], "repository": "secret://prune/{host}"},
    "database_restore_drill": {"host": "db1", "database": "/postgresql-5432-shop.dump", "on": "db2"},
    "environment_provisioning": {"hosts": "db1", "environment_name": "staging-api", "image": "shop/app:2"},
    "quick_backup": {"paths": ["/home"], "repository": "/mnt/b", "hosts": "db1"},
    "safe_container_upgrade": {"hosts": {"select": "true"}, "image": "shop/app:2"},
}
WITHOUT_SECRETS = {"config_rollout", "patch_and_reboot", "replica_upgrade", "safe_container_upgrade"}
RESOLVED = {"image": "shop/app:2", "ref": "shop/app@sha256:" + "0" * 64, "digest": "sha256:" + "0" * 64}
LISTED = {
    "snapshots": [
        {"id": number * 64, "time": "", "host": "old1", "tags": [], "whole": True, "kind": kind, "database": name}
        for number, kind, name in (("0", "files", None), ("1", "sqlite", "/srv/a.db"), ("2", "postgresql", "shop"))
    ],
    "total": 3,
    "age_s": 60.0,
}
FOUND: dict[str, Any] = {
    "volumes": [{"name": "srv", "path": "/srv", "bytes": 5, "exclude": []}],
    "databases": [{"engine": "sqlite", "name": "app", "path": "/srv/app.db", "container": None, "bytes": 7}],
    "scratch_free_bytes": 10**9,
    "restore_free_bytes": 10**9,
}
PENDING: dict[str, Any] = {
    "count": 1,
    "changes": [
        {"package": "nginx", "before": "1.22.1-9", "after": "1.22.1-9+deb12u1", "security": True, "download_bytes": 527}
    ],
    "unfinished": [],
    "reboot_required": False,
}
READ: dict[str, Any] = {"project": "shop", "images": ["shop/app:2"], "sha256": "0" * 64}
LIBRARY = [
    StoredBlueprint(BlueprintRef(each.id, each.version, content_digest(each)), each) for each in BLUEPRINTS.values()
]


def step_types() -> dict[str, StepTypeInfo]:
    """What a host with the built-in plugins announces."""
    return {
        each["name"]: StepTypeInfo(
            name=each["name"],
            effect=Effect(each["effect"]),
            destructive=each["destructive"],
            author_effects=tuple(Effect(effect) for effect in each["author_effects"]),
            params_schema=each["params_schema"],
            distribution=each["distribution"],
            version=each["version"],
            digest="sha256:" + each["name"],
        )
        for each in load_catalogue().describe()
    }


def planned(blueprint: Blueprint, hosts: int = 3, *lost: Host) -> Planned:
    ref = BlueprintRef(blueprint.id, blueprint.version, content_digest(blueprint))
    types = step_types()
    fleet = [host(f"db{number}", step_types=types, vars={"replaces": f"old{number}"}) for number in range(1, hosts + 1)]
    request = PlanRequest(StoredBlueprint(ref, blueprint), GIVEN.get(blueprint.id, {}))
    answers: dict[str, Any] = {
        "pending": PENDING,
        "discover": FOUND,
        "find": {"containers": [{"name": f"shop{number}"} for number in range(1, 7)]},
        "read": READ,
        "resolve": RESOLVED,
        "snapshots": LISTED,
        "first_backup/discover": FOUND,
    }
    return plan_request(request, world([*fleet, *lost], *LIBRARY), Answers(by_path=answers))


@pytest.mark.parametrize("id", BLUEPRINTS)
def test_it_is_planned_shown_and_kept(id: str) -> None:
    found = planned(BLUEPRINTS[id])
    assert from_json(to_json(found.plan)) == found.plan
    view = view_plan(found.plan)
    assert view.step_runs > 0
    assert bool(view.secrets) == (id not in WITHOUT_SECRETS)


def test_databases_in_containers_are_told_apart_and_dumped_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        {"engine": "postgresql", "name": "app", "path": None, "container": name, "bytes": 7}
        for name in ("blog", "shop")
    ]
    monkeypatch.setitem(FOUND, "databases", found)
    monkeypatch.setitem(GIVEN, "fleet_backup_orchestration", {"database_user": "dumper"})
    part = planned(BLUEPRINTS["fleet_backup_orchestration"]).plan.resolved["protect/databases"]["db1"]
    assert part.items == ("postgresql/blog/app", "postgresql/shop/app")
    assert [each["database"] for each in part.item_parameters] == [
        {"engine": "postgresql", "name": "app", "path": None, "container": name, "user": None}
        for name in ("blog", "shop")
    ]


def test_the_fleet_backup_is_planned_host_by_host() -> None:
    found = planned(BLUEPRINTS["fleet_backup_orchestration"])
    part = found.plan.resolved["protect/volumes"]["db2"]
    assert part.items == ("srv",)
    assert part.item_parameters[0]["paths"] == ["/srv"]
    assert step(found, "protect/databases").planned_items["db1"] == FOUND["databases"]
    assert "prune" in view_plan(found.plan).irreversible
    assert step(found, "prune").type is not None
    asked = {each.key for each in preview_questions(found.plan)}
    assert ("protect/volumes", "db3", "srv") in asked


def test_a_credential_that_may_delete_goes_to_the_trusted_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"prune_on": ["db3"], "hosts": ["db1", "db2"], "prune_password": "secret://prune/{host}"}
    monkeypatch.setitem(GIVEN, "fleet_backup_orchestration", given)
    found = planned(BLUEPRINTS["fleet_backup_orchestration"])
    part = found.plan.resolved["prune_apart"]
    assert set(part) == {"", "db3"}
    assert [each["host"] for each in part["db3"].item_parameters] == ["db1", "db2"]
    places = named_secrets(found.plan)
    assert {path for name in ("prune/db1", "prune/db2") for path in places[name]} == {"prune_apart"}


def test_a_credential_for_pruning_without_a_trusted_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GIVEN, "fleet_backup_orchestration", {"prune_password": "secret://prune"})
    with pytest.raises(PlanRefused, match="prune_on"):
        planned(BLUEPRINTS["fleet_backup_orchestration"])


@pytest.mark.parametrize(
    ("given", "facts", "demanded", "had"),
    [
        ({}, {"packages_manual": ["nginx", "docker-ce"]}, None, ["nginx", "docker-ce"]),
        ({"packages": ["restic"]}, {"packages_manual": ["nginx"]}, ["restic"], ["nginx"]),
        ({"packages": ["restic"], "same_packages": False}, {"packages_manual": ["nginx"]}, ["restic"], None),
        ({}, {}, None, None),
        ({"recovery_type": "data", "packages": ["restic"]}, {"packages_manual": ["nginx"]}, None, None),
    ],
)
def test_a_recovery_demands_what_it_is_given_and_tries_what_the_lost_host_had(
    given: dict[str, Any],
    facts: dict[str, Any],
    demanded: list[str] | None,
    had: list[str] | None,
) -> None:
    defaults = {"recovery_type": "full", "same_packages": True, "packages": []}
    scope = {
        "parameters": {**defaults, **given},
        "hosts": {"old1": {"name": "old1", "facts": facts}},
        "host": {"vars": {"replaces": "old1"}},
    }
    found = planned(BLUEPRINTS["disaster_recovery"])
    asked = []
    for each in (step(found, "prepare"), step(found, "same")):
        wanted = Expressions().evaluate_condition(str(each.when), scope)
        asked.append(Expressions().render(each.parameters, scope) if wanted else None)
    assert asked == [
        demanded and {"packages": demanded},
        had and {"packages": had, "skip_missing": True},
    ]


def test_a_recovery_loads_databases_and_does_not_bring_their_dumps_as_files(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"target": "/new", "database_user": "loader", "database_credentials": "secret://db/{host}"}
    monkeypatch.setitem(GIVEN, "disaster_recovery", given)
    found = planned(BLUEPRINTS["disaster_recovery"])
    assert found.plan.resolved["data"]["db1"].items == ("0" * 64,)
    loaded: Any = found.plan.resolved["databases"]["db1"].item_parameters
    sqlite, server = loaded
    assert sqlite["database"] == {"engine": "sqlite", "name": "/srv/a.db", "path": "/new/srv/a.db", "user": None}
    assert (server["database"]["path"], server["database"]["user"]) == ("/run/postgresql/.s.PGSQL.5432", "loader")
    assert (sqlite["credentials"], server["credentials"]) == (None, "secret://db/old1")
    monkeypatch.setitem(GIVEN, "disaster_recovery", {"databases": False})
    assert len(planned(BLUEPRINTS["disaster_recovery"]).plan.resolved["data"]["db1"].items or ()) == 3


@pytest.mark.parametrize("id", ["environment_provisioning", "fleet_backup_orchestration"])
def test_nobody_is_told_how_it_ended_unless_a_channel_is_named(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {each.when for each in planned(BLUEPRINTS[id]).plan.resolved["told"].values()} == {False}
    monkeypatch.setitem(GIVEN, id, {**GIVEN.get(id, {}), "notify": "ops"})
    assert any(each.when for each in planned(BLUEPRINTS[id]).plan.resolved["told"].values())
    monkeypatch.setitem(GIVEN, id, {**GIVEN.get(id, {}), "notify": "nowhere"})
    with pytest.raises(PlanRefused, match="there is no channel"):
        planned(BLUEPRINTS[id])


def test_data_that_grows_makes_no_approved_plan_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint = BLUEPRINTS["fleet_backup_orchestration"]
    approved = planned(blueprint)
    grown = {
        key: [{**each, "bytes": 10**6} for each in value] for key, value in FOUND.items() if isinstance(value, list)
    }
    for key, value in {**grown, "scratch_free_bytes": 1}.items():
        monkeypatch.setitem(FOUND, key, value)
    assert differences(approved.plan, planned(blueprint).plan) == ()


SMALL, LARGE = 10**3, 10**9


@pytest.mark.parametrize(
    ("volume", "sqlite", "server", "scratch", "restored_to", "backed_up", "drilled"),
    [
        (LARGE, SMALL, LARGE, 10 * SMALL, 10 * SMALL, True, False),
        (LARGE, SMALL, SMALL, 10 * SMALL, 2 * LARGE, True, True),
        (SMALL, SMALL, LARGE, 10 * SMALL, LARGE, True, False),
        (SMALL, LARGE, SMALL, LARGE, 2 * LARGE, False, True),
        (SMALL, LARGE, SMALL, 2 * LARGE, LARGE, True, False),
        (None, None, None, 0, 0, True, True),
    ],
)
def test_a_backup_asks_for_no_more_room_than_it_takes(
    volume: int | None,
    sqlite: int | None,
    server: int | None,
    scratch: int,
    restored_to: int,
    backed_up: bool,
    drilled: bool,
) -> None:
    """Two of each kind: one lies there at a time, so that only the largest counts."""
    found = planned(BLUEPRINTS["fleet_backup_orchestration"])
    sizes = (("sqlite", sqlite), ("mariadb", server))
    databases = [{"engine": engine, "bytes": size} for engine, size in sizes if size]
    outputs = {
        "volumes": [{"bytes": volume}] * 2 if volume else [],
        "databases": databases * 2,
        "scratch_free_bytes": scratch,
        "restore_free_bytes": restored_to,
    }
    scope = {"steps": {"discover": {"outputs": outputs}}}
    conditions = [str(step(found, name).parameters["that"]) for name in ("protect/space", "drillable")]
    assert [Expressions().evaluate_condition(each, scope) for each in conditions] == [backed_up, drilled]


@pytest.mark.parametrize(
    "offered",
    [
        [{**PENDING["changes"][0], "after": "1.22.1-9+deb12u2"}],
        [*PENDING["changes"], {"package": "curl", "before": "7.88.1-10", "after": "7.88.1-11"}],
    ],
)
def test_other_packages_make_an_approved_plan_stale(offered: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint = BLUEPRINTS["patch_and_reboot"]
    approved = planned(blueprint)
    assert approved.plan.resolved["patch/upgrade"]["db1"].parameters["expect"] == PENDING["changes"]
    assert differences(approved.plan, planned(blueprint).plan) == ()
    monkeypatch.setitem(PENDING, "changes", offered)
    drift = differences(approved.plan, planned(blueprint).plan)
    assert {line.partition(": ")[0].rpartition("parameters.")[2].partition("[")[0] for line in drift} == {"expect"}
    assert "deb12u2" in "".join(drift) or "curl" in "".join(drift)


def test_another_content_of_compose_files_makes_an_approved_plan_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint = BLUEPRINTS["compose_stack"]
    approved = planned(blueprint)
    monkeypatch.setitem(READ, "sha256", "1" * 64)
    drift = differences(approved.plan, planned(blueprint).plan)
    assert {line.partition(": ")[0] for line in drift} == {
        f"resolved.{step}.{host}.parameters.expect_sha256" for step in ("fetch", "deploy/up") for host in ("db1", "db2")
    }


def test_the_secrets_that_a_plan_needs_are_those_of_its_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GIVEN, "fleet_backup_orchestration", {"password": "secret://restic/{host}"})
    found = named_secrets(planned(BLUEPRINTS["fleet_backup_orchestration"]).plan)
    assert {"restic/db1", "restic/db2", "restic/db3"} <= found.keys()
    assert not any("{" in name for name in found)
    assert "parameters.password" in found["restic/db2"]["protect/volumes"].places


def measured(p95: float | None) -> dict[str, Any]:
    return {"status": "succeeded", "outputs": {"p95": p95}}


NOT_MEASURED = {"status": "skipped", "outputs": None}


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([measured(0.1), measured(0.1)], [measured(0.1), measured(0.12)], True),
        ([measured(0.1), measured(0.1)], [measured(0.1), measured(0.9)], False),
        ([measured(0.1), NOT_MEASURED], [measured(0.1), NOT_MEASURED], True),
        ([measured(0.1), NOT_MEASURED], [measured(0.9), NOT_MEASURED], False),
        ([NOT_MEASURED], [NOT_MEASURED], None),
        ([measured(None)], [measured(0.1)], None),
    ],
)
def test_an_upgrade_is_judged_by_the_hosts_that_could_be_measured(
    before: list[dict[str, Any]], after: list[dict[str, Any]], verdict: bool | None
) -> None:
    upgrade = next(each for each in BLUEPRINTS["safe_container_upgrade"].steps if each.id == "upgrade")
    assert upgrade.rollout is not None
    judge, _ = upgrade.rollout.analysis
    scope = {
        "parameters": {"tolerance": 1.5, "slack_seconds": 0.05},
        "steps": {"before": {"results": before}, "after": {"results": after}},
    }
    if not Expressions().evaluate_condition(str(judge.when), scope):
        assert verdict is None
    else:
        assert Expressions().evaluate_condition(str(judge.parameters["that"]), scope) is verdict


def read(*figures: float | None) -> dict[str, Any]:
    results = [
        {"status": "failed", "outputs": None}
        if figure is None
        else {"status": "succeeded", "outputs": {"value": figure}}
        for figure in figures
    ]
    return {"results": results}


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (read(10), read(15), True),
        (read(10), read(15.2), False),
        (read(10, 20), read(5, 20), True),
        (read(0), read(0.2), False),
        (read(0), read(0.1), True),
        (read(10), read(None), False),
        (read(10, 20), read(5, None), False),
        (read(None), read(10), False),
        (read(), read(), False),
    ],
)
def test_a_figure_decides_about_an_upgrade_and_none_is_never_good(before: Any, after: Any, verdict: bool) -> None:
    upgrade = next(each for each in BLUEPRINTS["safe_container_upgrade"].steps if each.id == "upgrade")
    assert upgrade.rollout is not None
    _, judge = upgrade.rollout.analysis
    given = {"metric": "", "metric_query": "errors", "metric_tolerance": 1.5, "metric_slack": 0.1}
    scope = {"parameters": given, "steps": {"figure_before": before, "figure_after": after}}
    assert Expressions().evaluate_condition(str(judge.when), scope) is True
    assert Expressions().evaluate_condition(str(judge.parameters["that"]), scope) is verdict
    assert Expressions().evaluate_condition(str(judge.when), {"parameters": {**given, "metric_query": ""}}) is False


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"metric": "errors"}, {"url": "http://10.0.0.1:9100/metrics", "metric": "errors", "query": None}),
        (
            {"metric_url": "http://prometheus:9090", "metric_query": "up{i='{host}'}"},
            {"url": "http://prometheus:9090", "metric": None, "query": "up{i='10.0.0.1'}"},
        ),
    ],
)
def test_a_figure_is_asked_for_where_the_host_tells_it(given: dict[str, str], wanted: dict[str, Any]) -> None:
    parameters = {name: each.default for name, each in BLUEPRINTS["safe_container_upgrade"].parameters.items()}
    scope = {
        "parameters": {**parameters, **given},
        "host": {"address": "10.0.0.1", "vars": {"upgrade_metric_url": "http://{host}:9100/metrics"}},
    }
    upgrade = next(each for each in BLUEPRINTS["safe_container_upgrade"].steps if each.id == "upgrade")
    for step_id in ("figure_before", "figure_after"):
        reads = next(each for each in upgrade.steps if each.id == step_id)
        rendered: Any = Expressions().render(reads.parameters, scope)
        assert wanted.items() <= rendered.items()
        settled = {"settle"} if step_id == "figure_after" else set()
        assert rendered.keys() == {"url", "metric", "query", "labels", "aggregate", "over"} | settled


def test_a_maintenance_window_is_refused_until_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**GIVEN["safe_container_upgrade"], "maintenance_window": "off-hours"}
    monkeypatch.setitem(GIVEN, "safe_container_upgrade", given)
    with pytest.raises(PlanRefused, match="maintenance_window"):
        planned(BLUEPRINTS["safe_container_upgrade"])


def test_a_recovery_brings_back_what_the_lost_host_told_of_itself() -> None:
    project = {"name": "shop", "directory": "/srv/shop", "config_files": ["/srv/shop/compose.yaml"]}
    lost = host("old1", online=False, step_types={}, labels={"backup": "no"}, facts={"compose_projects": [project]})
    found = planned(BLUEPRINTS["disaster_recovery"], 2, lost)
    stacks = found.plan.resolved["stacks"]["db1"]
    assert (stacks.items, stacks.item_parameters[0]["directory"]) == (("shop",), "/srv/shop")
    assert found.plan.resolved["stacks"]["db2"].items == ()
    assert found.plan.resolved["data"]["db1"].items == ("0" * 64,)


def test_the_canaries_and_the_rest_are_all_replicas() -> None:
    found = planned(BLUEPRINTS["replica_upgrade"]).plan.resolved
    canaries, rest = (found[step]["db1"] for step in ("canary", "rest"))
    assert (canaries.items, rest.items) == (("shop1", "shop2"), ("shop3", "shop4", "shop5", "shop6"))
    assert [each["container"] for each in rest.item_parameters] == list(rest.items or ())
