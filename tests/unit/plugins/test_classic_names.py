"""What the classic step type names become is there, takes the parameters that need not be written, and says by name
which of the others it lacks."""

import re
from typing import Any

import pytest
from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES
from pilotage_coordinator.domain.blueprint.json_schema import violations
from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_plugin_api.catalogue import load_catalogue

NEEDED = {
    "resource.allocate": set(),
    "resource.release": set(),
    "snapshot.create": set(),
    "snapshot.restore": set(),
    "snapshot.remove": set(),
    "snapshot.list": set(),
    "transfer.send": {"path"},
    "transfer.receive": {"sent"},
}
"""What an author must write."""

VERBS = [verb for alias in ALIASES.values() for verb in alias.actions.values()]


@pytest.fixture(scope="module")
def schemas() -> dict[str, dict[str, Any]]:
    """The parameters of every step type that there is."""
    known = {name: entry.step_type.Params.model_json_schema() for name, entry in load_catalogue().step_types.items()}
    return known | {name: dict(info.params_schema) for name, info in coordinator_types().items()}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.type)
def test_each_is_a_step_type_that_takes_its_defaults(verb: Any, schemas: dict[str, dict[str, Any]]) -> None:
    schema = schemas[verb.type]
    wrong = [each.message for each in violations(schema, dict(verb.defaults)) if "missing" not in each.message]
    assert [text for text in wrong if not re.search(r"need|required", text)] == []
    if verb.type in NEEDED:
        assert set(schema.get("required", ())) - set(verb.defaults) == NEEDED[verb.type]
