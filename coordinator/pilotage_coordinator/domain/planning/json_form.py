"""Frozen dataclasses as JSON values and back, exactly.

A field that holds its default is left out, so that a field added later changes nothing of what does not use it.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.errors import PlanUnreadable

_SCALARS: Final = frozenset({str, int, float, bool, types.NoneType})

T = TypeVar("T")


_NOTHING_LEFT_OUT: Final[Mapping[type, frozenset[str]]] = {}


def written(value: Any, left_out: Mapping[type, frozenset[str]] = _NOTHING_LEFT_OUT) -> dict[str, Any]:
    """Return a dataclass as JSON values, without fields at their defaults, and those of `left_out`."""
    return _write_fields(value, left_out)


def read(kind: type[T], value: object, what: str) -> T:
    """Read a dataclass that `written` wrote; `what` names it in errors. Raises PlanUnreadable."""
    try:
        known: Any = kind
        found: T = _reader(known)(value)
    except _Unfit as error:
        raise PlanUnreadable(f"{what}{error.place}: {error.message}") from error
    return found


def plain(value: Any) -> Any:
    """Return a JSON value with plain dicts and lists, so that equal plans compare equal; refuses everything else.

    Raises TypeError that names the type.
    """
    if type(value) in _SCALARS:
        return value
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [plain(each) for each in value]
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _write_fields(value: Any, left_out: Mapping[type, frozenset[str]]) -> dict[str, Any]:
    kind: Any = type(value)
    omitted = left_out.get(kind, frozenset())
    written: dict[str, Any] = {}
    for name, key, default in _fields(kind):
        inner = getattr(value, name)
        if inner is not default and name not in omitted and inner != default:
            written[key] = inner if type(inner) in _SCALARS else _write(inner, left_out)
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
            return {key: each if type(each) in _SCALARS else _write(each, left_out) for key, each in value.items()}
        case tuple() | list():
            return [each if type(each) in _SCALARS else _write(each, left_out) for each in value]
    return _write_fields(value, left_out)


_NOTHING: Final = object()


@lru_cache(maxsize=64)
def _fields(kind: type) -> tuple[tuple[str, str, Any], ...]:
    """Return the fields of a dataclass: name, key in JSON, default."""
    return tuple((each.name, each.name.rstrip("_"), _default(each)) for each in dataclasses.fields(kind))


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _NOTHING


class _Unfit(Exception):
    """A value that does not belong where it stands. The place is put together on the way out."""

    def __init__(self, message: str, place: str = "") -> None:
        self.message = message
        self.place = place

    def inside(self, part: str) -> "_Unfit":
        """Return the same, as what contains the value sees it."""
        return _Unfit(self.message, part + self.place)


_Reader = Callable[[Any], Any]


@lru_cache(maxsize=256)
def _reader(kind: Any) -> _Reader:
    """Return what reads values of a type; made once for each type."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind if isinstance(kind, type) else type(kind))
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_plain if bool in get_args(kind) else _union_reader(get_args(kind))
    if origin is Literal:
        allowed = get_args(kind)
        return lambda value: value if value in allowed else _refuse(value)
    if origin is Sequence:
        return lambda value: _read_plain(value) if isinstance(value, list | tuple) else _refuse(value)
    if origin in (tuple, frozenset):
        return _collection_reader(origin, _reader(get_args(kind)[0]))
    if origin is Mapping:
        return _mapping_reader(_reader(get_args(kind)[1]))
    if issubclass(kind, Enum):
        return _enum_reader(kind)
    if kind is object:
        return _read_plain
    if kind is float:
        return lambda value: float(value) if type(value) in (int, float) else _refuse(value)
    return lambda value: value if type(value) is kind else _refuse(value)


def _dataclass_reader(kind: type) -> _Reader:
    inner: dict[str, tuple[str, _Reader]] = {}

    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _Unfit("expected an object")
        if not inner:
            # Not before: the types of a plan contain themselves.
            hints = get_type_hints(kind, localns={"Sequence": Sequence, "Mapping": Mapping, "Json": Json})
            inner.update({key: (name, _reader(hints[name])) for name, key, _ in _fields(kind)})
        arguments: dict[str, Any] = {}
        for key, each in value.items():
            known = inner.get(key)
            if known is None:
                unknown = ", ".join(sorted(name for name in value if name not in inner)[:5])
                raise _Unfit(f"this version does not know {unknown}: make the plan again")
            try:
                arguments[known[0]] = known[1](each)
            except _Unfit as error:
                raise error.inside(f".{key}") from None
        try:
            return kind(**arguments)
        except TypeError as error:
            raise _Unfit(str(error)) from error

    return read


def _collection_reader(kind: type, inner: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            _refuse(value)
        found = []
        for index, each in enumerate(value):
            try:
                found.append(inner(each))
            except _Unfit as error:
                raise error.inside(f"[{index}]") from None
        return kind(found)

    return read


def _mapping_reader(inner: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            _refuse(value)
        found = {}
        for key, each in value.items():
            try:
                found[key] = inner(each)
            except _Unfit as error:
                raise error.inside(f".{key}") from None
        return found

    return read


def _union_reader(kinds: Sequence[Any]) -> _Reader:
    if _SCALARS.issuperset(kinds):
        return lambda value: value if type(value) in kinds else _refuse(value)
    optional = types.NoneType in kinds
    text = str in kinds
    rest = [kind for kind in kinds if kind not in (types.NoneType, str)]
    inner = _reader((rest or [str])[0])

    def read(value: Any) -> Any:
        if value is None:
            return None if optional else _refuse(value)
        return value if text and isinstance(value, str) else inner(value)

    return read


def _enum_reader(kind: type[Enum]) -> _Reader:
    members = {each.value: each for each in kind}

    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in members:
            raise _Unfit(f"{value!r} is none of {', '.join(members)}")
        return members[value]

    return read


def _read_plain(value: Any) -> Any:
    try:
        return plain(value)
    except TypeError as error:
        raise _Unfit(str(error)) from error


def _refuse(value: Any) -> Any:
    raise _Unfit(f"{type(value).__name__} does not belong here")
