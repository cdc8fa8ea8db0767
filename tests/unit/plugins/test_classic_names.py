"""What the classic step type names become is there, takes the parameters that need not be written, and says by name
which of the others it lacks."""

from typing import Any

import pytest
from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES, Verb
from pilotage_coordinator.domain.blueprint.json_schema import violations
from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_plugin_api.catalogue import load_catalogue

NEEDED = {
    "container.create": {"`name` is missing", "`image` is missing"},
    "container.start": {"`container` is missing"},
    "container.stop": {"`container` is missing"},
    "container.restart": {"`container` is missing"},
    "container.remove": {"`container` is missing"},
    "container.pull": {"`image` is missing"},
    "container.health": {"`container` is missing"},
    "container.upgrade": {"`container` is missing", "`image` is missing"},
    "compose.up": {"`directory` is missing"},
    "network.create": {"`name` is missing"},
    "network.remove": {"`name` is missing"},
    "wait.until": {"`check` is missing"},
    "backup.database": {"`database` is missing"},
    "restore.database": {"`database` is missing"},
    "command.run": {"`argv` is missing"},
    "file.write": {"`path` is missing", "one of `content`, `file` is needed"},
    "file.template": {"`path` is missing", "one of `template`, `file` is needed"},
    "file.copy": {"`path` is missing", "`source` is missing"},
    "transfer.send": {"`path` is missing"},
    "transfer.receive": {"`sent` is missing"},
}
"""What an author must write, as the loader says it; nothing where a type is not named."""

MORE_NEEDED = {("maintenance", "prune"): {"`keep` is missing"}}
"""What an author must write for a verb that has more defaults under another name."""

VERBS = [(name, action, verb) for name, alias in ALIASES.items() for action, verb in alias.actions.items()]


@pytest.fixture(scope="module")
def schemas() -> dict[str, dict[str, Any]]:
    """The parameters of every step type that there is."""
    known = {name: entry.step_type.Params.model_json_schema() for name, entry in load_catalogue().step_types.items()}
    return known | {name: dict(info.params_schema) for name, info in coordinator_types().items()}


@pytest.mark.parametrize(
    ("name", "action", "verb"), VERBS, ids=lambda part: part if isinstance(part, str) else part.type
)
def test_each_is_a_step_type_that_takes_its_defaults(
    name: str, action: str, verb: Verb, schemas: dict[str, dict[str, Any]]
) -> None:
    said = {each.message for each in violations(schemas[verb.type], dict(verb.defaults))}
    assert said == MORE_NEEDED.get((name, action), NEEDED.get(verb.type, set()))
