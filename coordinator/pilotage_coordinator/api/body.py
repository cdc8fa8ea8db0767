"""From an HTTP request to the fields of an operation's request, within bounds."""

import json
from http import HTTPStatus
from typing import Any, Final, get_origin

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from pilotage_coordinator.domain.plan import FailureKind

LARGEST_BODY: Final = 4 << 20
"""1 MiB of blueprint, which JSON may write at up to three times its size, and its parameters of 256 KiB."""
DEEPEST_BODY: Final = 64


class BodyRefused(Exception):
    """The request cannot be read; `status` says in which way."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = FailureKind.PARAMETER


async def fields(request: Request, model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields that path, query or body give; raise BodyRefused. A field given twice is refused."""
    found: dict[str, Any] = dict(request.path_params)
    given = _query(request, model) if request.method in ("GET", "DELETE") else await _json(request)
    for name, value in given.items():
        if name in found:
            raise BodyRefused(HTTPStatus.UNPROCESSABLE_ENTITY, f"field `{name}` is given by the path already")
        found[name] = value
    if request.method not in ("GET", "DELETE") and request.query_params:
        names = ", ".join(sorted(request.query_params))
        raise BodyRefused(HTTPStatus.UNPROCESSABLE_ENTITY, f"{request.method} takes no query parameters: {names}")
    return found


def _query(request: Request, model: type[BaseModel]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is list:
            found[name] = values
        elif len(values) > 1:
            raise BodyRefused(HTTPStatus.UNPROCESSABLE_ENTITY, f"query parameter `{name}` is given {len(values)} times")
        else:
            found[name] = values[0]
    return found


async def _json(request: Request) -> dict[str, Any]:
    raw = await _read(request)
    if not raw:
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise BodyRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body is {media_type or 'of no type'}; send application/json"
        )
    try:
        value = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BodyRefused(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise BodyRefused(HTTPStatus.BAD_REQUEST, "the body is no JSON object")
    if _deeper(value, DEEPEST_BODY):
        raise BodyRefused(HTTPStatus.BAD_REQUEST, f"the body is nested deeper than {DEEPEST_BODY} levels")
    return value


async def _read(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > LARGEST_BODY:
        raise _too_large()
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > LARGEST_BODY:
                raise _too_large()
    except ClientDisconnect as error:
        raise BodyRefused(HTTPStatus.BAD_REQUEST, "the client went away before its request was whole") from error
    return bytes(raw)


def _too_large() -> BodyRefused:
    return BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {LARGEST_BODY} bytes")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field {twice!r} is given twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _deeper(value: object, levels: int) -> bool:
    """Return whether a value nests deeper than `levels`; without recursion, as the value is a stranger's."""
    layer = [value]
    for _ in range(levels):
        below: list[object] = []
        for each in layer:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
        if not below:
            return False
        layer = below
    return True
