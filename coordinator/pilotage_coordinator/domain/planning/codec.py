"""Plans as JSON and back, exactly; and the content that the digest is taken over.

A field that holds its default is left out, so that a field added later changes no digest of a plan that does not use
it. `from_json(to_json(plan)) == plan`, also through `json.dumps` and `json.loads` (not through canonical JSON, which
writes 2.0 as 2: expressions tell the two apart).
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pilotage_proto.canonical import digest as digest_of

from pilotage_coordinator.domain.plan import Plan, PlannedStep
from pilotage_coordinator.domain.planning.errors import PlanUnreadable

FORMAT: Final = 1
"""The form of a stored plan. Higher ones are refused."""

OUTSIDE_THE_DIGEST: Final[Mapping[type, frozenset[str]]] = {
    Plan: frozenset({"digest"}),
    PlannedStep: frozenset({"planned_outputs", "planned_items"}),
}
"""What a plan carries that people do not approve: answers and items as such change by themselves; what they decide
stands in `Plan.resolved`."""

_T = TypeVar("_T")


def content(plan: Plan) -> dict[str, Any]:
    """Return what the digest covers (docs/plans.md), as JSON values."""
    return {"plan": FORMAT, **_write_fields(plan, OUTSIDE_THE_DIGEST)}


def digest(plan: Plan) -> str:
    """Return `sha256:…` over the content. Raises CanonicalError for numbers that JSON cannot keep exactly."""
    return digest_of(content(plan))


def to_json(plan: Plan) -> dict[str, Any]:
    """Return the whole plan as JSON values, for storage and for `plan -o FILE`."""
    return {"plan": FORMAT, **_write_fields(plan, {})}


def from_json(value: object) -> Plan:
    """Read a plan that `to_json` wrote.

    Raises PlanUnreadable when it is of another form, or when its digest is not that of its content.
    """
    if not isinstance(value, Mapping):
        raise PlanUnreadable("a plan is a JSON object")
    form = value.get("plan")
    if form != FORMAT:
        raise PlanUnreadable(f"this plan has form {form!r}, this version reads {FORMAT}: make the plan again")
    plan = _read_dataclass(Plan, {name: each for name, each in value.items() if name != "plan"}, "plan")
    actual = digest(plan)
    if plan.digest != actual:
        raise PlanUnreadable(f"the plan's digest is {plan.digest or 'missing'}, that of its content {actual}")
    return plan


def plain(value: Any) -> Any:
    """Return a JSON value with plain dicts and lists, so that equal plans compare equal; refuses everything else.

    Raises TypeError that names the type.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [plain(each) for each in value]
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _write_fields(value: Any, left_out: Mapping[type, frozenset[str]]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    omitted = left_out.get(type(value), frozenset())
    for field in dataclasses.fields(value):
        if field.name in omitted:
            continue
        inner = getattr(value, field.name)
        if inner != _default(field):
            written[field.name.rstrip("_")] = _write(inner, left_out)
    return written


def _write(value: Any, left_out: Mapping[type, frozenset[str]]) -> Any:
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case frozenset():
            return sorted(_write(each, left_out) for each in value)
        case Mapping():
            return {key: _write(each, left_out) for key, each in value.items()}
        case tuple() | list():
            return [_write(each, left_out) for each in value]
    return _write_fields(value, left_out)


_NOTHING: Final = object()


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _NOTHING


@lru_cache(maxsize=64)
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read_dataclass(kind: type[_T], value: object, place: str) -> _T:
    if not isinstance(value, Mapping):
        raise PlanUnreadable(f"{place}: expected an object")
    owner: Any = kind
    hints = _hints(owner)
    known = {name.rstrip("_"): name for name in hints}
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise PlanUnreadable(f"{place}: this version does not know {', '.join(unknown[:5])}: make the plan again")
    arguments = {known[name]: _read(hints[known[name]], each, f"{place}.{name}") for name, each in value.items()}
    try:
        return kind(**arguments)
    except TypeError as error:
        raise PlanUnreadable(f"{place}: {error}") from error


def _read(kind: Any, value: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin is Sequence:
        return plain(_expect(isinstance(value, list | tuple), value, place))
    if origin in (Union, types.UnionType):
        return plain(value) if bool in get_args(kind) else _read_union(get_args(kind), value, place)
    if origin is Literal:
        return _expect(value in get_args(kind), value, place)
    if origin is tuple:
        items = _expect(isinstance(value, list | tuple), value, place)
        return tuple(_read(get_args(kind)[0], each, f"{place}[{index}]") for index, each in enumerate(items))
    if origin is frozenset:
        items = _expect(isinstance(value, list | tuple), value, place)
        return frozenset(_read(get_args(kind)[0], each, place) for each in items)
    if origin is Mapping:
        _expect(isinstance(value, Mapping), value, place)
        return {key: _read(get_args(kind)[1], each, f"{place}.{key}") for key, each in value.items()}
    return _read_simple(kind, value, place)


def _read_simple(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind if isinstance(kind, type) else type(kind), value, place)
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            raise PlanUnreadable(f"{place}: {error}") from error
    if kind is float and type(value) is int:
        return float(value)
    return _expect(type(value) is kind, value, place)


def _read_union(kinds: Sequence[Any], value: Any, place: str) -> Any:
    if value is None:
        return _expect(type(None) in kinds, value, place)
    wanted = [kind for kind in kinds if kind is not type(None)]
    if str in wanted and isinstance(value, str):
        return value
    rest = [kind for kind in wanted if kind is not str]
    return _read((rest or wanted)[0], value, place)


def _expect(fits: bool, value: _T, place: str) -> _T:
    if not fits:
        raise PlanUnreadable(f"{place}: {type(value).__name__} does not belong here")
    return value
