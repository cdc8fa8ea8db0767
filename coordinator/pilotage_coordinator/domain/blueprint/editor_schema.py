"""The JSON Schema that editors check blueprints with, made from the same tables that the loader reads by."""

from typing import Any, Final

from pilotage_coordinator.domain.blueprint.form.blueprint import FILE

SCHEMA_ID: Final = "https://pilotage.example/schema/blueprint-1.json"


def editor_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a file of blueprints.

    It knows keys and kinds. What needs more than one place (ids, dependencies, scope) only the loader knows, and a
    file that passes here may still be refused.
    """
    definitions: dict[str, Any] = {}
    root = FILE.schema(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Pilotage blueprints, version 1",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }
