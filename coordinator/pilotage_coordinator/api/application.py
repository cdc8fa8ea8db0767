"""The Starlette application: every route of the table, and nothing that a table cannot say."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp

from pilotage_coordinator.api import problem
from pilotage_coordinator.api.access_log import ASKED, CALLER, OPERATION
from pilotage_coordinator.api.assistants import PATH
from pilotage_coordinator.api.body import BodyRefused, fields
from pilotage_coordinator.api.routes import ROUTES, Route
from pilotage_coordinator.api.sse import events
from pilotage_coordinator.domain.plan import FailureKind
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import ServiceError
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import Stream
from pilotage_coordinator.structured import structlog

_LOG = structlog.get_logger("pilotage.api")

Identify = Callable[[Request], Awaitable[Caller]]
"""Says who sends a request; raises ServiceError (Unauthenticated) for somebody unknown."""


def application(
    services: Services, identify: Identify, closing: asyncio.Event, assistants: ASGIApp | None = None
) -> Starlette:
    """Return the application over one set of services. Setting `closing` ends its streams."""
    routes = [StarletteRoute("/v1/health", _health, methods=["GET"])]
    routes += [
        StarletteRoute(
            route.path, _endpoint(route, services, identify, closing), methods=[route.method], name=route.verb.operation
        )
        for route in ROUTES
    ]
    if assistants is not None:
        routes.append(StarletteRoute(PATH, assistants))
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_error, Exception: _defect},
    )


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "serving"})


def _endpoint(
    route: Route, services: Services, identify: Identify, closing: asyncio.Event
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        setattr(request.state, OPERATION, route.verb.operation)
        try:
            # Nothing of a request is read before it is known whose it is.
            caller = await identify(request)
            setattr(request.state, CALLER, caller)
            asked = await _parse(route, request)
            setattr(request.state, ASKED, asked)
            if isinstance(route.verb, Stream):
                stream = route.verb
                answers = await stream(services, caller, asked)

                async def still() -> None:
                    await stream.still(services, await identify(request), asked)

                return StreamingResponse(
                    events(answers, closing, still=still if caller.token else None),
                    media_type="text/event-stream",
                    headers={"cache-control": "no-store", "x-accel-buffering": "no"},
                )
            answer = await route.verb(services, caller, asked)
        except BodyRefused as error:
            return problem.response(error.status, error.detail, kind=error.kind)
        except ValidationError as error:
            return problem.of_validation(error)
        except ServiceError as error:
            return problem.of_service(error)
        return Response(answer.model_dump_json(), status_code=route.status, media_type="application/json")

    return endpoint


async def _parse(route: Route, request: Request) -> Any:
    given = await fields(request, route.verb.request)
    key = request.headers.get("idempotency-key")
    if key is not None and "idempotency_key" in route.verb.request.model_fields:
        given.setdefault("idempotency_key", key)
    place = request.headers.get("last-event-id")
    if place and isinstance(route.verb, Stream):
        given["after"] = place
    # A query has only text; JSON has types of its own, so nothing is converted there.
    by_query = request.method in ("GET", "DELETE")
    return route.verb.request.model_validate(given, strict=not by_query)


async def _http_error(request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = f"{request.method} {request.url.path}: {status.phrase.lower()}"
    return problem.response(status, detail, kind=FailureKind.PARAMETER, fix="docs/http-api.md lists every route")


async def _defect(request: Request, error: Exception) -> Response:
    _LOG.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return problem.response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the coordinator met a defect of its own; its log has the details",
        kind=FailureKind.INFRASTRUCTURE,
        fix="nothing of this request may be assumed done: look before trying again",
    )
