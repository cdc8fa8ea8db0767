"""`http.request`: a request that may change something at the other end."""

import asyncio
import json
from enum import StrEnum
from urllib.parse import urlsplit

from pilotage_plugin_api import (
    Action,
    Change,
    Effect,
    InfrastructureFailed,
    Preview,
    StepContext,
    StepFailed,
    StepOutputs,
    StepType,
)
from pydantic import Field, JsonValue

from pilotage_plugins.http.body import BODY_LIMIT, Status, WithBody, all_headers, content_of
from pilotage_plugins.http.client import Answer, request, tls_context

BODY_SHOWN = 8000
JSON_LIMIT = 32 * 1024


class Method(StrEnum):
    """What to do there."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class HttpRequestParams(WithBody):
    """What to send where, and which answer is a good one. Redirects are not followed."""

    method: Method = Method.POST
    expect: tuple[Status, ...] = Field((200, 201, 202, 204), min_length=1, description="Good statuses")
    parse: bool = Field(False, description="Read the answer as JSON into the output `parsed`")


class HttpRequestOutputs(StepOutputs):
    """The answer. `body` is its beginning, written by a stranger."""

    status: int
    seconds: float
    body: str
    parsed: JsonValue = None


class HttpRequest(StepType[HttpRequestParams, HttpRequestOutputs]):
    """Send one request over HTTP and check the status of the answer.

    It starts at most once, because only the author knows what it does at the other end; he may declare `effect: read`
    or `effect: idempotent`. A request that could not be delivered is a failure of kind infrastructure; one whose answer
    never came may have done its work, and the error says so.
    """

    name = "http.request"
    effect = Effect.ONCE
    author_effects = frozenset({Effect.READ, Effect.IDEMPOTENT})
    Params = HttpRequestParams
    Outputs = HttpRequestOutputs

    async def preview(self, ctx: StepContext, params: HttpRequestParams) -> Preview:
        """Show the request; what it changes is known at the other end only."""
        body, _ = content_of(params)
        note = f"{len(body)} bytes" if body else ""
        return Preview(
            changes=(Change(action=Action.RUN, subject=f"{params.method} {params.url}"[:4096], note=note),),
            complete=False,
            note="what the request changes is known only at the other end",
        )

    async def run(self, ctx: StepContext, params: HttpRequestParams) -> HttpRequestOutputs:
        """Ask once."""
        body, described = content_of(params)
        headers = described | await all_headers(ctx, params)
        started = ctx.clock()
        tls = None
        if urlsplit(params.url).scheme == "https":
            tls = await asyncio.to_thread(tls_context, params.ca_file, verify=params.verify_tls)
        try:
            async with asyncio.timeout(params.timeout.total_seconds()):
                answer = await request(params.method.value, params.url, headers, BODY_LIMIT, tls, body)
        except TimeoutError:
            raise InfrastructureFailed(
                f"{params.method} {params.url}: no whole answer within {params.timeout}; it may have been carried out"
            ) from None
        if answer.status not in params.expect:
            raise StepFailed(
                f"{params.method} {params.url} was answered by {answer.status}, expected"
                f" {' or '.join(map(str, params.expect))}: {answer.body[:1000].decode('utf-8', 'replace')}"
            )
        return HttpRequestOutputs(
            status=answer.status,
            seconds=round(ctx.clock() - started, 4),
            body=answer.body[:BODY_SHOWN].decode("utf-8", "replace"),
            parsed=_parsed(params, answer) if params.parse else None,
        )


def _parsed(params: HttpRequestParams, answer: Answer) -> JsonValue:
    try:
        parsed: JsonValue = json.loads(answer.body)
        size = len(json.dumps(parsed, ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise StepFailed(f"{params.url} did not answer with JSON: {error}; it answered {answer.body[:200]!r}") from None
    if size > JSON_LIMIT:
        raise StepFailed(f"the answer of {params.url} is {size} characters of JSON, the limit is {JSON_LIMIT}")
    return parsed
