"""`http.check`: does an address answer as it should?"""

import asyncio
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from pilotage_plugin_api import (
    Duration,
    Effect,
    InfrastructureFailed,
    StepContext,
    StepFailed,
    StepOutputs,
    StepType,
)
from pydantic import Field

from pilotage_plugins.http.body import BODY_LIMIT, AskParams, Status, all_headers
from pilotage_plugins.http.client import Answer, check_url, request, tls_context

BODY_SHOWN = 1000


class Method(StrEnum):
    """Requests that change nothing."""

    GET = "GET"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"


class HttpCheckParams(AskParams):
    """Where to ask, and what the answer must be."""

    method: Method = Method.GET
    expect: tuple[Status, ...] = Field((200,), min_length=1, description="Good statuses")
    contains: str | None = Field(None, description="Text that must be in the first MiB of the answer")
    timeout: Duration = Field(timedelta(seconds=10), description="For all of it, redirects included")
    redirects: int = Field(
        0, ge=0, le=5, description="How many redirects to follow; never to another scheme, nor with secrets elsewhere"
    )


class HttpCheckOutputs(StepOutputs):
    """The answer. `body` is its beginning, written by a stranger."""

    status: int
    url: str
    seconds: float
    body: str


class HttpCheck(StepType[HttpCheckParams, HttpCheckOutputs]):
    """Ask an address over HTTP and check the status and, if wanted, a text in the answer.

    No answer at all is a failure of kind infrastructure; a wrong one is of kind step.
    """

    name = "http.check"
    effect = Effect.READ
    Params = HttpCheckParams
    Outputs = HttpCheckOutputs

    async def run(self, ctx: StepContext, params: HttpCheckParams) -> HttpCheckOutputs:
        """Ask once."""
        headers = await all_headers(ctx, params)
        started = ctx.clock()
        try:
            async with asyncio.timeout(params.timeout.total_seconds()):
                url, answer = await _ask(params, headers)
        except TimeoutError:
            raise InfrastructureFailed(f"{params.url}: no whole answer within {params.timeout}") from None
        if answer.status not in params.expect:
            raise StepFailed(f"{url} answered {answer.status}, expected {' or '.join(map(str, params.expect))}")
        if params.contains is not None and params.contains.encode() not in answer.body:
            raise StepFailed(f"{url} answered {answer.status}, but without the text {params.contains[:200]!r}")
        return HttpCheckOutputs(
            status=answer.status,
            url=url,
            seconds=round(ctx.clock() - started, 4),
            body=answer.body[:BODY_SHOWN].decode("utf-8", "replace"),
        )


async def _ask(params: HttpCheckParams, headers: dict[str, str]) -> tuple[str, Answer]:
    url, scheme = params.url, urlsplit(params.url).scheme
    tls = await asyncio.to_thread(tls_context, params.ca_file, verify=params.verify_tls) if scheme == "https" else None
    for _ in range(params.redirects + 1):
        answer = await request(params.method.value, url, headers, BODY_LIMIT, tls)
        location = answer.headers.get("Location")
        if params.redirects == 0 or answer.status not in (301, 302, 303, 307, 308) or location is None:
            return url, answer
        try:
            target = check_url(urljoin(url, location))
        except ValueError as error:
            raise StepFailed(f"{url} redirects to where we do not go: {error}") from None
        if urlsplit(target).scheme != scheme:
            raise StepFailed(f"{url} redirects to another scheme, {target!r}; name that address itself if it is right")
        if urlsplit(target).netloc != urlsplit(url).netloc:
            headers = {name: value for name, value in headers.items() if name not in params.secret_headers}
        url = target
    raise StepFailed(f"{params.url} redirects more than {params.redirects} times")
