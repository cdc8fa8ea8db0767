"""Shapes: each says how a written value is read, and what JSON Schema tells editors about it.

A shape never raises for bad input: it notes a problem and gives INVALID, so that one reading finds every problem.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

from pilotage_coordinator.domain.blueprint.errors import Problems, did_you_mean
from pilotage_coordinator.domain.blueprint.features import FEATURES
from pilotage_coordinator.domain.blueprint.nodes import ListNode, MapNode, Node, ScalarNode, describe, plain
from pilotage_coordinator.domain.blueprint.position import Path

Schema = dict[str, Any]


class Invalid(Enum):
    """The one value that stands for "could not be read; the problem is noted"."""

    INVALID = "invalid"


INVALID: Final = Invalid.INVALID


@dataclass(slots=True)
class Reading:
    """One reading of one file: what shapes share."""

    problems: Problems
    features: frozenset[str]
    classic: bool = False
    """True for the classic form, which has no `pilotage: 1`."""
    steps: int = 0
    """Steps that were met so far."""
    read: list[Any] = field(default_factory=list)
    """Those of them that could be read, also where what is around them could not."""

    def refuse(self, node: Node, path: Path, message: str, hint: str = "") -> Invalid:
        """Note a problem and return INVALID."""
        self.problems.add(node.at, path, message, hint)
        return INVALID


class Shape(Protocol):
    """How one kind of value is written."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        """Return the value, or INVALID after noting why not."""
        ...

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the JSON Schema; named shapes add themselves to `definitions`."""
        ...


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value; used for parameter trees. Its scalars stay what they are."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        return plain(node)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose items have one shape."""

    item: Shape
    least: int = 0
    most: int = 10_000

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if not isinstance(node, ListNode):
            return reading.refuse(node, path, f"expected a list, not {describe(node)}", "write [a, b] or `- a` lines")
        if not self.least <= len(node.items) <= self.most:
            wanted = f"at least {self.least}" if len(node.items) < self.least else f"at most {self.most}"
            return reading.refuse(node, path, f"expected {wanted} items, not {len(node.items)}")
        read = [self.item.read(each, (*path, index), reading) for index, each in enumerate(node.items)]
        return INVALID if INVALID in read else tuple(read)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        least = {"minItems": self.least} if self.least else {}
        return {"type": "array", "items": self.item.schema(definitions), **least}


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping from names to values of one shape. `name` reads the key as a value of its own."""

    name: Shape
    value: Shape
    extensible: bool = True
    """Keys that start with `x-` are the author's, as in records. False where keys are data: none is left out."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if not isinstance(node, MapNode):
            return reading.refuse(node, path, f"expected a mapping, not {describe(node)}", "write `name: value` lines")
        found: dict[str, Any] = {}
        failed = False
        for key, value in node.entries:
            if self.extensible and key.text.startswith("x-"):
                continue
            inner = (*path, key.text)
            name = self.name.read(key, inner, reading)
            read = self.value.read(value, inner, reading)
            failed = failed or name is INVALID or read is INVALID
            found[key.text] = read
        return INVALID if failed else found

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        names = self.name.schema(definitions)
        return {
            "type": "object",
            "propertyNames": {"anyOf": [names, {"pattern": "^x-"}]}
            if self.extensible and "pattern" in names
            else names,
            "additionalProperties": self.value.schema(definitions),
        }


@dataclass(frozen=True, slots=True)
class Either:
    """A choice between shapes, decided by how the value is written: scalar, list or mapping."""

    scalar: Shape | None = None
    items: Shape | None = None
    mapping: Shape | None = None
    wanted: str = ""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        kinds = {ScalarNode: self.scalar, ListNode: self.items, MapNode: self.mapping}
        shape = kinds[type(node)]
        if shape is None:
            return reading.refuse(node, path, f"expected {self.wanted}, not {describe(node)}")
        return shape.read(node, path, reading)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        shapes = [each for each in (self.scalar, self.items, self.mapping) if each is not None]
        return {"anyOf": [each.schema(definitions) for each in shapes]}


@dataclass(frozen=True, slots=True)
class Later:
    """A shape that is defined further down, for tables that refer to each other."""

    find: Callable[[], Shape]

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        return self.find().read(node, path, reading)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return self.find().schema(definitions)


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record."""

    shape: Shape
    help: str = ""
    into: str = ""
    """The name under which the value is handed on; empty: the key itself. Two keys may mean the same thing."""
    required: bool = False
    feature: str = ""
    """The feature that must be built for this key to be accepted; empty: it always is."""


Build = Callable[[Mapping[str, Any], MapNode, Path, Reading], Any]
"""Turns the values read (by their `into` names; absent keys are absent) into what the record stands for."""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys. All others are refused, but for `x-…`."""

    name: str
    fields: Mapping[str, Field]
    build: Build
    reserved: frozenset[str] = frozenset()
    hints: Mapping[str, str] = field(default_factory=dict)
    """Cures for keys that people expect here."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if not isinstance(node, MapNode):
            known = ", ".join(list(self.fields)[:6])
            return reading.refuse(node, path, f"expected a {self.name}, not {describe(node)}", f"its keys: {known} …")
        values: dict[str, Any] = {}
        written: dict[str, str] = {}
        complete = True
        for key, value in node.entries:
            known_field = self._field(key, path, reading)
            if known_field is None:
                continue
            into = known_field.into or key.text
            if into in written:
                reading.refuse(key, (*path, key.text), f"`{key.text}` and `{written[into]}` mean the same; keep one")
            written[into] = key.text
            read = known_field.shape.read(value, (*path, key.text), reading)
            if read is INVALID:
                complete = False
            else:
                values[into] = read
        for name, each in self.fields.items():
            if each.required and (each.into or name) not in written:
                what = each.help.rstrip(".")
                hint = f"add `{name}:`" + (f", {what[:1].lower()}{what[1:]}" if what else "")
                reading.refuse(node, path, f"this {self.name} has no `{name}`", hint)
                complete = False
        return self.build(values, node, path, reading) if complete else INVALID

    def _field(self, key: ScalarNode, path: Path, reading: Reading) -> Field | None:
        """Return the field of a key, or None when it means nothing here; notes what must be noted."""
        name = key.text
        inner = (*path, name)
        if name.startswith("x-"):
            return None
        found = self.fields.get(name)
        if found is None:
            if name in self.reserved:
                reading.refuse(key, inner, f"`{name}` is reserved and not available yet")
            else:
                hint = self.hints.get(name) or did_you_mean(name, self.fields)
                reading.refuse(key, inner, f"a {self.name} has no key `{name[:60]}`", hint)
            return None
        if found.feature and found.feature not in reading.features:
            hint = "remove it, or wait for a version that has it"
            reading.refuse(key, inner, f"`{name}` ({FEATURES[found.feature]}) is not available yet", hint)
        return found

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        title = self.name.replace(" ", "_")
        if title not in definitions:
            definition: Schema = {"type": "object"}
            definitions[title] = definition
            properties: dict[str, Schema] = {}
            for name, each in self.fields.items():
                inner = each.shape.schema(definitions)
                properties[name] = {**inner, "description": each.help} if each.help else inner
            required = [name for name, each in self.fields.items() if each.required]
            definition |= {"properties": properties, "patternProperties": {"^x-": {}}, "additionalProperties": False}
            if required:
                definition["required"] = required
        return {"$ref": f"#/$defs/{title}"}
