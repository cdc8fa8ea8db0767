"""The shipped blueprints, and the schema for editors, are in step with the loader and the built-in step types."""

import json
from typing import Any

import pilotage_plugins
import pytest
from pilotage_blueprints import editor_schema as shipped_schema
from pilotage_blueprints import shipped
from pilotage_coordinator.domain.blueprint.editor_schema import editor_schema
from pilotage_coordinator.domain.blueprint.expand import expand
from pilotage_coordinator.domain.blueprint.json_schema import violations
from pilotage_coordinator.domain.blueprint.loader import load_blueprint
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.parameters import resolve_parameters
from pilotage_coordinator.domain.blueprint.step_types import check_step_types
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_plugin_api import StepType
from ruamel.yaml import YAML

from tests.unit.blueprint.writing import SKETCHES

FILES = dict(shipped())


def catalogue() -> dict[str, StepTypeInfo]:
    types: list[StepType[Any, Any]] = []
    pilotage_plugins.pilotage_register_step_types(types.append)
    infos = {
        each.name: StepTypeInfo(
            each.name,
            Effect(each.effect.value),
            each.destructive,
            author_effects=tuple(Effect(effect.value) for effect in each.author_effects),
            params_schema=each.Params.model_json_schema(),
            outputs_schema=each.Outputs.model_json_schema(),
        )
        for each in types
    }
    return infos | dict(coordinator_types())


def blueprint(name: str) -> Blueprint:
    return load_blueprint(FILES[name], name)


def test_what_is_shipped() -> None:
    assert {blueprint(name).id for name in FILES} == {
        "backup_prune",
        "compose_stack",
        "config_rollout",
        "database_restore_drill",
        "disaster_recovery",
        "environment_provisioning",
        "fleet_backup_orchestration",
        "patch_and_reboot",
        "quick_backup",
        "replica_upgrade",
        "safe_container_upgrade",
    }
    assert all(name == f"{blueprint(name).id}.yaml" for name in FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_shipped_blueprint_fits_its_step_types(name: str) -> None:
    assert [str(each) for each in check_step_types(blueprint(name), catalogue())] == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_shipped_blueprint_survives_being_printed(name: str) -> None:
    assert load_blueprint(expand(blueprint(name)), name) == blueprint(name)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_shipped_blueprint_tells_people_what_it_is(name: str) -> None:
    found = blueprint(name)
    assert found.name
    assert found.description
    assert found.category
    assert found.version != "0.0.0"
    assert all(each.description for each in found.parameters.values())
    assert FILES[name].startswith("# yaml-language-server: $schema=")


def test_fleet_backup_needs_no_parameter_and_takes_the_specified_ones() -> None:
    found = blueprint("fleet_backup_orchestration.yaml")
    assert resolve_parameters(found, {})["backup_retention_days"] == 30
    values = resolve_parameters(found, {"backup_retention_days": 7, "backup_compression": False})
    assert (values["backup_retention_days"], values["backup_compression"]) == (7, False)
    assert found.targets is not None


def test_the_shipped_schema_is_made_from_the_loaders_tables() -> None:
    assert json.loads(shipped_schema()) == editor_schema(), "regenerate blueprint-1.schema.json from editor_schema()"


@pytest.mark.parametrize("text", [*FILES.values(), *(each.read_text("utf-8") for each in sorted(SKETCHES.iterdir()))])
def test_the_schema_accepts_what_the_loader_accepts(text: str) -> None:
    tree = YAML(typ="safe", pure=True).load(text)
    assert violations(editor_schema(), tree) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [{"id": "a", "tpye": "x"}]},
        {"steps": [{"id": "A", "type": "a.b"}]},
        {"steps": []},
        {"versoin": "1"},
        {"version": 1.1},
        {"on_failure": "maybe"},
        {"targets": {"host": "x"}},
        {"parameters": {"a": {"type": "strin"}}},
        {"deadline": 5},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(change: dict[str, Any]) -> None:
    body = {"steps": [{"id": "a", "type": "a.b"}], **change}
    assert violations(editor_schema(), {"pilotage": 1, "workflows": {"x": body}})
