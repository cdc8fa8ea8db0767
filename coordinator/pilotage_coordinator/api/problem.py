"""Errors as `application/problem+json` (RFC 9457), with the kind of failure, every place, and the fix."""

from collections.abc import Sequence
from http import HTTPStatus

from pydantic import ValidationError
from starlette.responses import JSONResponse

from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.service.errors import (
    Conflict,
    Denied,
    Fault,
    Invalid,
    NotFound,
    ServiceError,
    TooMany,
    Unauthenticated,
    Unavailable,
)

_STATUS: dict[type[ServiceError], HTTPStatus] = {
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    Denied: HTTPStatus.FORBIDDEN,
    Conflict: HTTPStatus.CONFLICT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

_HEADERS: dict[type[ServiceError], dict[str, str]] = {
    Unauthenticated: {"www-authenticate": 'Bearer realm="pilotage"'},
    TooMany: {"retry-after": "60"},
}


def of_service(error: ServiceError) -> JSONResponse:
    """Return the answer for an operation that was refused."""
    status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    answer = response(status, error.detail, kind=error.kind, fix=error.fix, problems=error.problems)
    answer.headers.update(_HEADERS.get(type(error), {}))
    return answer


def of_validation(error: ValidationError) -> JSONResponse:
    """Return the answer for a request that does not fit its model; every field that does not is named.

    What was given never comes back: it may be a secret.
    """
    faults = [
        Fault(message=_message(each["type"], each["msg"]), path=".".join(str(part) for part in each["loc"]))
        for each in error.errors(include_url=False, include_context=False, include_input=False)[:100]
    ]
    return response(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        ("" if len(faults) == 1 else "the request does not fit: ")
        + "; ".join(f"{each.path or 'request'}: {each.message}" for each in faults[:3]),
        kind=FailureKind.PARAMETER,
        problems=faults,
    )


def response(
    status: HTTPStatus, detail: str, *, kind: FailureKind, fix: str = "", problems: Sequence[Fault] = ()
) -> JSONResponse:
    """Return a problem document."""
    return JSONResponse(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "kind": kind.value,
            "fix": fix,
            "problems": [
                {
                    "message": each.message,
                    "fix": each.fix,
                    "file": each.file,
                    "line": each.line,
                    "column": each.column,
                    "path": each.path,
                    "host": each.host,
                    "kind": each.kind.value,
                }
                for each in problems
            ],
        },
        status_code=status.value,
        media_type="application/problem+json",
    )


def _message(kind: str, text: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field"
    return text.removeprefix("Value error, ").replace("Input should be", "it must be")
