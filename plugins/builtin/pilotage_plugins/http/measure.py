"""`http.measure`: how fast and how reliably an address answers."""

import asyncio
import math
import ssl
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from pilotage_plugin_api import Duration, Effect, InfrastructureFailed, StepContext, StepFailed, StepOutputs, StepType
from pydantic import Field

from pilotage_plugins.http.body import BODY_LIMIT, AskParams, Status, all_headers
from pilotage_plugins.http.client import request, tls_context

MOST_REQUESTS = 100_000


class HttpMeasureParams(AskParams):
    """What to ask for how long, and which figures are good enough. Redirects are not followed."""

    duration: Duration = Field(timedelta(seconds=10), description="How long to measure")
    rate: float = Field(10.0, gt=0, le=1000, description="Requests begun each second, evenly, whatever the answers do")
    concurrency: int = Field(20, ge=1, le=500, description="At most this many at a time; more count as errors")
    expect: tuple[Status, ...] = Field((200,), min_length=1, description="Good statuses")
    max_error_rate: float | None = Field(None, ge=0, le=1, description="Fail above this share of errors: 0.01")
    max_p95: Duration | None = Field(None, description="Fail when the slowest twentieth takes longer")


class HttpMeasureOutputs(StepOutputs):
    """The figures, in seconds; latencies are of good answers only, null without any. `errors` counts by cause."""

    requests: int
    failed: int
    error_rate: float
    errors: dict[str, int]
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class HttpMeasure(StepType[HttpMeasureParams, HttpMeasureOutputs]):
    """Ask an address at a steady rate for a while; tell the share of errors and how long good answers took.

    Requests begin on time even when answers are late, so that a server which stalls is not measured less often. Limits
    make it a check: a figure beyond one is a failure of kind step. Compare two of them before and after an upgrade.
    """

    name = "http.measure"
    effect = Effect.READ
    Params = HttpMeasureParams
    Outputs = HttpMeasureOutputs

    async def run(self, ctx: StepContext, params: HttpMeasureParams) -> HttpMeasureOutputs:
        """Measure."""
        count = min(MOST_REQUESTS, max(1, round(params.duration.total_seconds() * params.rate)))
        headers = await all_headers(ctx, params)
        tls = None
        if urlsplit(params.url).scheme == "https":
            tls = await asyncio.to_thread(tls_context, params.ca_file, verify=params.verify_tls)
        latencies: list[float] = []
        errors: Counter[str] = Counter()
        under_way: set[asyncio.Task[None]] = set()
        started = ctx.clock()
        try:
            for number in range(count):
                await ctx.sleep(max(0.0, started + number / params.rate - ctx.clock()))
                if len(under_way) >= params.concurrency:
                    errors["too many unanswered"] += 1
                    continue
                task = asyncio.create_task(_ask(ctx, params, headers, tls, latencies, errors))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                ctx.progress((number + 1) / count, f"{number + 1} of {count} requests, {errors.total()} errors")
            await asyncio.gather(*under_way)
        finally:
            for task in under_way:
                task.cancel()
        outputs = _figures(latencies, errors)
        _judge(params, outputs)
        return outputs


async def _ask(
    ctx: StepContext,
    params: HttpMeasureParams,
    headers: dict[str, str],
    tls: ssl.SSLContext | None,
    latencies: list[float],
    errors: Counter[str],
) -> None:
    started = ctx.clock()
    try:
        async with asyncio.timeout(params.timeout.total_seconds()):
            answer = await request("GET", params.url, headers, BODY_LIMIT, tls)
    except TimeoutError:
        errors["timeout"] += 1
    except InfrastructureFailed as error:
        cause = "cannot connect" if "cannot connect" in str(error) else "broken answer"
        errors["TLS" if "TLS failed" in str(error) else cause] += 1
    else:
        if answer.status in params.expect:
            latencies.append(ctx.clock() - started)
        else:
            errors[f"status {answer.status}"] += 1


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the sorted values does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _figures(latencies: list[float], errors: Counter[str]) -> HttpMeasureOutputs:
    ordered = sorted(round(latency, 5) for latency in latencies)
    total = len(ordered) + errors.total()
    return HttpMeasureOutputs(
        requests=total,
        failed=errors.total(),
        error_rate=round(errors.total() / total, 5),
        errors=dict(sorted(errors.items())),
        mean=round(sum(ordered) / len(ordered), 5) if ordered else None,
        p50=quantile(ordered, 0.5),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        max=ordered[-1] if ordered else None,
    )


def _judge(params: HttpMeasureParams, outputs: HttpMeasureOutputs) -> None:
    """Raise StepFailed for a figure beyond its limit, with all of them."""
    told = f"{outputs.failed} of {outputs.requests} requests failed {outputs.errors}, p95 {outputs.p95} s"
    if params.max_error_rate is not None and outputs.error_rate > params.max_error_rate:
        raise StepFailed(
            f"{params.url}: the error rate is {outputs.error_rate}, the limit {params.max_error_rate} ({told})"
        )
    if params.max_p95 is not None and (outputs.p95 is None or outputs.p95 > params.max_p95.total_seconds()):
        raise StepFailed(f"{params.url}: the slowest twentieth takes too long, the limit is {params.max_p95} ({told})")
