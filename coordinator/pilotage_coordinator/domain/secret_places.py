"""Where a step's parameters may hold references to secrets: only where its type's schema says that it resolves them.

A plugin marks such a place with the format `pilotage-secret` (plugins/api: SecretRef). Anywhere else a reference would
reach the program or the file as the text `secret://NAME`, and the step would succeed with it. On an object the mark
means that the step hands it to another step type, which judges what it is given.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pilotage_coordinator.domain.plan import Json

SCHEME: Final = "secret://"
FORMAT: Final = "pilotage-secret"
_DEEPEST_REFERENCE: Final = 32

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A text that refers to a secret, or the mark of a sensitive value."""

    place: str
    name: str
    """The secret's name; "" for a reference inside a longer text, and for the mark."""
    resolved: bool
    """Whether the step type puts the secret's value here."""


def secret_uses(parameters: Mapping[str, Json], schema: Mapping[str, object]) -> Iterator[SecretUse]:
    """Yield every use of a secret in a tree of parameters; an empty schema says nothing and counts as resolving all.

    Marks of run-time values are passed over: they are looked at once they are known.
    """
    yield from _walk(parameters, (schema,) if schema else None, schema, "parameters")


def misplaced(parameters: Mapping[str, Json], schema: Mapping[str, object]) -> tuple[str, ...]:
    """Return the places where a secret stands that the step type would pass on as text, each once."""
    return tuple(dict.fromkeys(use.place for use in secret_uses(parameters, schema) if not use.resolved))


def resolved_names(parameters: Mapping[str, Json], schema: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the secrets whose values the step type asks for."""
    return frozenset(use.name for use in secret_uses(parameters, schema) if use.resolved and use.name)


def resolving_parameters(schema: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of the parameters that take secrets, directly or as values of a map or a list."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return ()
    return tuple(name for name, inner in properties.items() if _takes(inner, schema))


def refusal(step_type: str, schema: Mapping[str, object]) -> tuple[str, str]:
    """Return what to say about a misplaced secret, and the fix."""
    takers = ", ".join(f"`{name}`" for name in resolving_parameters(schema))
    fix = f"write secret://NAME, and nothing around it, where {step_type} resolves secrets: {takers}"
    message = f"{step_type} does not resolve secrets here: the text `secret://…` itself would be used"
    return message, fix if takers else f"{step_type} takes no secrets; use a step type that does"


def _walk(value: Json, schemas: Sequence[Schema] | None, root: Schema, place: str) -> Iterator[SecretUse]:
    """`schemas`: every schema that may describe the value; None: nobody knows."""
    known = None if schemas is None else _branches(schemas, root)
    takes = known is None or any(each.get("format") == FORMAT for each in known)
    if isinstance(value, str):
        if SCHEME in value and "{{" not in value:
            whole = value.startswith(SCHEME)
            yield SecretUse(place, value.removeprefix(SCHEME) if whole else "", takes and whole)
    elif isinstance(value, Mapping):
        if value.keys() == {"run_time"}:
            return
        if value.keys() == {"sensitive"}:
            yield SecretUse(place, "", takes)
            return
        for key, inner in value.items():
            below = None if known is None or takes else [found for each in known for found in _of_key(each, key)]
            yield from _walk(inner, below, root, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            below = None if known is None else [found for each in known for found in _of_index(each, index)]
            yield from _walk(inner, below, root, f"{place}[{index}]")


def _branches(schemas: Sequence[Schema], root: Schema) -> list[Schema]:
    """Return the schemas with what they refer to, and every alternative, laid out flat."""
    found: list[Schema] = []
    waiting = [(each, 0) for each in schemas]
    while waiting:
        schema, depth = waiting.pop()
        if not isinstance(schema, Mapping) or depth > _DEEPEST_REFERENCE:
            continue
        found.append(schema)
        inner = [each for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())]
        if isinstance(target := schema.get("$ref"), str):
            inner.append(_referred(target, root))
        waiting += [(each, depth + 1) for each in inner]
    return found


def _referred(target: str, root: Schema) -> Schema:
    found: Any = root
    for part in target.removeprefix("#/").split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _of_key(schema: Schema, key: str) -> list[Schema]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and key in properties:
        return [properties[key]]
    patterns = schema.get("patternProperties")
    found = list(patterns.values()) if isinstance(patterns, Mapping) else []
    return [*found, schema.get("additionalProperties", {})]


def _of_index(schema: Schema, index: int) -> list[Schema]:
    first = schema.get("prefixItems", ())
    return [first[index]] if index < len(first) else [schema.get("items", {})]


def _takes(schema: Schema, root: Schema, depth: int = 0) -> bool:
    if depth > 3:
        return False
    for each in _branches((schema,), root):
        if each.get("format") == FORMAT:
            return True
        inner = [each.get("additionalProperties"), each.get("items"), *each.get("patternProperties", {}).values()]
        if any(isinstance(found, Mapping) and _takes(found, root, depth + 1) for found in inner):
            return True
    return False
