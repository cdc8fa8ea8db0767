"""Files of a blueprint: a step names one where its type's schema says so, and gets the text with the name.

A plugin marks such a parameter with the format `pilotage-file` (plugins/api: BlueprintFile), among the step type's own
parameters and inside no other. A plan holds each text once, whatever the number of steps and hosts, and keeps
the names in the steps' parameters; the texts are put in when a host is asked or given an attempt. No expression in
them is ever evaluated.
"""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_proto.canonical import digest

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.secret_places import SCHEME

FORMAT: Final = "pilotage-file"
LARGEST: Final = 256 * 1024
"""Bytes of one file that a step uses."""


def file_parameters(schema: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of the parameters that are names of files."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return ()
    return tuple(name for name, inner in properties.items() if _names_a_file(inner))


def wrong_use(value: Json, files: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with a file's name in a blueprint with these files, and the cure; None: nothing is."""
    if not isinstance(value, str):
        return "this must be the name of a file under `files`", did_you_mean(str(value), files)
    if "{{" in value:
        return (
            "the name of a file is written out, never an expression: what is approved is what runs",
            "write one step for each file, with `when`",
        )
    text = files.get(value)
    if text is None:
        near = did_you_mean(value, files)
        return f"there is no file `{value[:60]}` under `files`", near or "write it there: `files: {NAME: text}`"
    size = len(text.encode())
    if size > LARGEST:
        return f"the file `{value}` has {size} bytes, at most {LARGEST} can be given to a step", "split it"
    if SCHEME in text:
        return (
            f"the file `{value}` holds `{SCHEME}…`, which is not resolved inside of files",
            "let the step resolve the secret, in a parameter of its own such as `secret_files`",
        )
    return None


def key_of(text: str) -> str:
    """Return the key under which a plan holds a text."""
    return digest(text)


def with_files(parameters: Mapping[str, Json], used: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, Json]:
    """Return the parameters as the step type reads them: for each name of a file, the name and the text.

    `used`: parameter to key (`PlannedStep.files`); `texts`: key to text (`Plan.files`).
    """
    texts_by_name: dict[str, Json] = {
        name: {"name": parameters[name], "text": texts[key]} for name, key in used.items() if name in parameters
    }
    return {**parameters, **texts_by_name}


def _names_a_file(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    alternatives = schema.get("anyOf")
    several = alternatives if isinstance(alternatives, list) else [schema]
    return any(isinstance(each, Mapping) and each.get("format") == FORMAT for each in several)
