"""`metric.read`: one figure, as it is now."""

import asyncio
import fnmatch
import math
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pilotage_plugin_api import (
    Duration,
    Effect,
    InfrastructureFailed,
    StepContext,
    StepFailed,
    StepOutputs,
    StepType,
    TargetFailed,
)
from pydantic import Field, StringConstraints, model_validator

from pilotage_plugins.http.body import AskParams, all_headers
from pilotage_plugins.http.client import Answer, request, tls_context
from pilotage_plugins.metric.exposition import LABEL_PATTERN, METRIC_PATTERN, Sample, is_figure, samples_of
from pilotage_plugins.metric.server import query_url, samples_in

BODY_LIMIT = 16 * 1024 * 1024
ACCEPT = "text/plain;version=0.0.4"

LabelName = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
LabelValue = Annotated[str, StringConstraints(max_length=1000)]


class Aggregate(StrEnum):
    """What becomes of several series."""

    ONLY = "only"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"


class MetricReadParams(AskParams):
    """Where the figure is, and which it is: a `metric` on a page of metrics, or a `query` to a Prometheus server."""

    one_of: ClassVar[tuple[str, ...]] = ("metric", "query")

    metric: str | None = Field(None, pattern=METRIC_PATTERN, description="Its name on the page that `url` answers with")
    query: str | None = Field(
        None, min_length=1, max_length=4000, description="PromQL; `url` is then the address of the Prometheus server"
    )
    labels: dict[LabelName, LabelValue] = Field(
        default_factory=dict, max_length=30, description="Only series with these labels; * and ? stand for any text"
    )
    aggregate: Aggregate = Field(
        Aggregate.ONLY, description="What becomes of several series; `only` refuses more than one"
    )
    settle: Duration = Field(timedelta(0), description="Wait so long first, for a figure that is taken now and then")
    over: Duration | None = Field(
        None, description="For counters: read twice, so far apart, and tell the increase per second"
    )
    at_least: float | None = Field(None, allow_inf_nan=False, description="Fail below this")
    at_most: float | None = Field(None, allow_inf_nan=False, description="Fail above this")

    @model_validator(mode="after")
    def _waits_between(self) -> "MetricReadParams":
        if self.over is not None and not timedelta(seconds=1) <= self.over <= timedelta(hours=1):
            raise ValueError("over must be from 1s to 1h")
        return self


class MetricReadOutputs(StepOutputs):
    """The figure, and of how many series it was made. There is always one: without it the step fails."""

    value: float
    series: int


class MetricRead(StepType[MetricReadParams, MetricReadOutputs]):
    """Read one figure: a metric that a program tells of itself over HTTP, or the answer of Prometheus to a query.

    No answer is a failure of kind infrastructure, a metric that is not there of kind target, and one that is no number
    (NaN, infinite) or beyond a limit of kind step: what was not measured is never good. Compare two of them before and
    after an upgrade.
    """

    name = "metric.read"
    effect = Effect.READ
    Params = MetricReadParams
    Outputs = MetricReadOutputs

    async def run(self, ctx: StepContext, params: MetricReadParams) -> MetricReadOutputs:
        """Read it once, or twice for an increase."""
        await ctx.sleep(params.settle.total_seconds())
        first, series = await _figure(ctx, params)
        value = first
        if params.over is not None:
            began = ctx.clock()
            await ctx.sleep(params.over.total_seconds())
            second, series = await _figure(ctx, params)
            if second < first:
                raise StepFailed(
                    f"{_subject(params)} fell from {first} to {second}: it was restarted, or is no counter"
                )
            value = (second - first) / max(ctx.clock() - began, 1e-3)
        ctx.log(f"{_subject(params)}: {value} ({series} series)")
        outputs = MetricReadOutputs(value=value, series=series)
        for wrong, word, limit in (
            (params.at_most is not None and value > params.at_most, "at most", params.at_most),
            (params.at_least is not None and value < params.at_least, "at least", params.at_least),
        ):
            if wrong:
                raise StepFailed(f"{_subject(params)} is {value}, and may be {word} {limit}", outputs=outputs)
        return outputs


async def _figure(ctx: StepContext, params: MetricReadParams) -> tuple[float, int]:
    found = [sample for sample in await _samples(ctx, params) if _fits(sample, params)]
    where = _subject(params)
    if not found:
        raise TargetFailed(f"{where} is not there: the answer holds no such series")
    if params.aggregate is Aggregate.ONLY and len(found) > 1:
        shown = "; ".join(str(dict(sample.labels))[:200] for sample in found[:3])
        raise StepFailed(
            f"{where} has {len(found)} series ({shown}…): choose one by `labels`,"
            " or set `aggregate` to sum, avg, min or max"
        )
    if bad := next((sample for sample in found if not is_figure(sample.value)), None):
        raise StepFailed(f"{where} is {bad.value}, which is no figure (labels {str(dict(bad.labels))[:200]})")
    values = [sample.value for sample in found]
    match params.aggregate:
        case Aggregate.MIN:
            value = min(values)
        case Aggregate.MAX | Aggregate.ONLY:
            value = max(values)
        case Aggregate.SUM | Aggregate.AVG:
            value = _sum(values, where) / (len(values) if params.aggregate is Aggregate.AVG else 1)
    return value, len(values)


def _sum(values: list[float], where: str) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        raise StepFailed(f"the sum of the {len(values)} series of {where} is no figure: it is too large") from None


async def _samples(ctx: StepContext, params: MetricReadParams) -> list[Sample]:
    if params.metric is None:
        assert params.query is not None
        answer = await _ask(ctx, params, query_url(params.url, params.query), "application/json")
        return samples_in(answer.body, answer.status)
    answer = await _ask(ctx, params, params.url, ACCEPT)
    if answer.status != 200:
        text = f"{params.url} answered {answer.status} instead of with a page of metrics"
        raise (InfrastructureFailed if answer.status >= 500 else StepFailed)(text)
    try:
        text = answer.body.decode()
    except UnicodeDecodeError as error:
        raise StepFailed(f"{params.url} answered with what is no text in UTF-8: {error}") from None
    return await asyncio.to_thread(lambda: list(samples_of(params.metric or "", text)))


async def _ask(ctx: StepContext, params: MetricReadParams, url: str, accept: str) -> Answer:
    headers = {"Accept": accept, **await all_headers(ctx, params)}
    tls = None
    if urlsplit(url).scheme == "https":
        tls = await asyncio.to_thread(tls_context, params.ca_file, verify=params.verify_tls)
    try:
        async with asyncio.timeout(params.timeout.total_seconds()):
            answer = await request("GET", url, headers, BODY_LIMIT + 1, tls)
    except TimeoutError:
        raise InfrastructureFailed(f"{params.url}: no whole answer within {params.timeout}") from None
    if len(answer.body) > BODY_LIMIT:
        raise StepFailed(f"{params.url} answered with more than {BODY_LIMIT} bytes: ask for less")
    return answer


def _fits(sample: Sample, params: MetricReadParams) -> bool:
    return all(
        fnmatch.fnmatchcase(sample.labels.get(name, ""), wanted.replace("[", "[[]"))
        for name, wanted in params.labels.items()
    )


def _subject(params: MetricReadParams) -> str:
    labels = f" with {params.labels}" if params.labels else ""
    return f"{params.metric or params.query!r}{labels} of {params.url}"[:600]
