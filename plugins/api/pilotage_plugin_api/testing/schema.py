"""Whether a step type's schema still takes what it took: blueprints that people wrote must go on working."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage_plugin_api.step_type import StepType

Json = Mapping[str, Any]

_AT_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_AT_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")


def schemas_of(step_type: StepType[Any, Any]) -> dict[str, Any]:
    """Return both schemas as coordinators get them."""
    return {
        "params": step_type.Params.model_json_schema(mode="validation"),
        "outputs": step_type.Outputs.model_json_schema(mode="serialization"),
    }


def broken_promises(before: Json, now: Json) -> list[str]:
    """Return what a blueprint that fits `before` can no longer rely on, one line each; empty when nothing.

    Parameters may take more than they took, and outputs may hold more than they held, at every depth; not less. A
    pattern that changed is told, as nobody can say whether all that matched still does. Defaults are not looked at.
    """
    params = _Comparison("parameter", before["params"], now["params"])
    outputs = _Comparison("output", before["outputs"], now["outputs"])
    return [*params.told(), *outputs.told()]


@dataclass(slots=True)
class _Comparison:
    """Two schemas of one model. `seen`: pairs of definitions that are being compared, which may hold themselves."""

    what: str
    before: Json
    now: Json
    seen: set[tuple[str, str]] = field(default_factory=set)

    def told(self) -> Iterator[str]:
        """Compare the models' fields."""
        yield from self._objects("", self.before, self.now)

    def _objects(self, path: str, old: Json, new: Json) -> Iterator[str]:
        was, there = old.get("properties", {}), new.get("properties", {})
        for name, value in was.items():
            if name in there:
                yield from self._values(_inside(path, name), value, there[name])
            else:
                yield f"{self.what} {_inside(path, name)} is gone"
        if self.what == "parameter":
            for name in new.get("required", ()):
                if name not in old.get("required", ()):
                    yield f"parameter {_inside(path, name)} is required now"
        more, still = old.get("additionalProperties"), new.get("additionalProperties")
        if isinstance(more, Mapping) and isinstance(still, Mapping):
            yield from self._values(f"{path}.*", more, still)

    def _values(self, path: str, old: Json, new: Json) -> Iterator[str]:
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if "$ref" in old and "$ref" in new:
            if pair in self.seen:
                return
            self.seen.add(pair)
        olds, news = _alternatives(old, self.before), _alternatives(new, self.now)
        kinds, known = {_kind(each) for each in olds}, {_kind(each) for each in news}
        if "" not in known and (lost := kinds - known - {""}):
            yield f"{self.what} {path} is no longer {' or '.join(sorted(lost))}"
        if self.what == "output" and "null" in known - kinds:
            yield f"output {path} may be null now"
        for one in olds:
            if (other := _counterpart(one, news)) is not None:
                yield from self._alike(path, one, other)
            elif _kind(one) in known:
                yield f"{self.what} {path} no longer takes {one.get('title', _kind(one))}"

    def _alike(self, path: str, old: Json, new: Json) -> Iterator[str]:
        """Compare two schemas of one kind."""
        yield from self._objects(path, old, new)
        if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
            yield from self._values(f"{path}[]", old["items"], new["items"])
        if self.what == "parameter":
            yield from _narrowed(path, old, new)


def _narrowed(path: str, old: Json, new: Json) -> Iterator[str]:
    values, left = _choices(old), _choices(new)
    if left and not values:
        yield f"parameter {path} takes only {', '.join(left)} now"
    elif left and (lost := [each for each in values if each not in left]):
        yield f"parameter {path} no longer takes {', '.join(lost)}"
    for word in _AT_MOST:
        if word in new and (word not in old or new[word] < old[word]):
            yield f"parameter {path}: {word} is {new[word]} now, was {old.get(word, 'not bounded')}"
    for word in _AT_LEAST:
        if word in new and (word not in old or new[word] > old[word]):
            yield f"parameter {path}: {word} is {new[word]} now, was {old.get(word, 'not bounded')}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"parameter {path} must match {new['pattern']} now, was {old.get('pattern', 'any')}"


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _choices(schema: Json) -> list[str]:
    return [str(schema["const"])] if "const" in schema else list(map(str, schema.get("enum", ())))


def _alternatives(schema: Json, root: Json) -> list[Json]:
    """Return what a value may be, references looked up, each of one type."""
    if "$ref" in schema:
        return _alternatives(root.get("$defs", {}).get(str(schema["$ref"]).rpartition("/")[2], {}), root)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [found for each in schema[word] for found in _alternatives(each, root)]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": each} for each in schema["type"]]
    return [schema]


def _counterpart(one: Json, others: list[Json]) -> Json | None:
    """Return the alternative that takes the place of this one: the one of its name, else the only one of its kind."""
    alike = [each for each in others if _kind(each) in (_kind(one), "")]
    named = [each for each in alike if each.get("title") == one.get("title")]
    if len(named) == 1:
        return named[0]
    return alike[0] if len(alike) == 1 else next((each for each in alike if each == one), None)


def _kind(schema: Json) -> str:
    if "type" in schema:
        return str(schema["type"])
    if "const" in schema or "enum" in schema:
        return "string"
    return ""
