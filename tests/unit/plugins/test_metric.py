"""Figures read from pages of metrics and from Prometheus: what is there, and all that must never count as good."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.metric import read
from pilotage_plugins.metric.exposition import Sample, samples_of
from pilotage_plugins.metric.read import MetricRead
from pilotage_plugins.metric.server import query_url, samples_in

from tests.unit.plugins.test_network_step_types import serving

PAGE = """\
# HELP shop_seconds How long answers took.
# TYPE shop_seconds summary
shop_seconds{path="/",quantile="0.5"} 0.02
shop_seconds{path="/",quantile="0.95"} 0.25
shop_seconds{path="/cart \\"a\\\\b\\"\\n",quantile="0.95",} 7.5e-1 1700000000000
shop_seconds_sum 12
shop_orders_total 41
shop_load +Inf
shop_rate NaN
shop_free{disk="a"} -3

\tspaced { a = "1" , b="}" }  5
"""


def page(text: str, status: str = "200 OK") -> Callable[[bytes], bytes]:
    body = text.encode()
    return lambda asked: b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(page(PAGE)) as port:
        yield f"http://127.0.0.1:{port}/metrics"


def value(harness: Harness, url: str, **params: Any) -> Any:
    return harness.run(MetricRead(), {"url": url, **params})


def test_every_series_of_a_name_is_found_with_its_labels() -> None:
    assert list(samples_of("shop_seconds", PAGE)) == [
        Sample({"path": "/", "quantile": "0.5"}, 0.02),
        Sample({"path": "/", "quantile": "0.95"}, 0.25),
        Sample({"path": '/cart "a\\b"\n', "quantile": "0.95"}, 0.75),
    ]
    assert list(samples_of("spaced", PAGE)) == [Sample({"a": "1", "b": "}"}, 5.0)]
    assert list(samples_of("shop", PAGE)) == []


@pytest.mark.parametrize(
    "line",
    ["a", "a one", 'a{b="1"', 'a{b="1}', "a{b=1} 1", 'a{b="1" c="2"} 1', 'a{b="1",b="2"} 1', "a 1 2 3", "a 0x1",
     "a 1.2.3", "<html>", "{} 1", "a 1_0", "a{,} 1"],
)  # fmt: skip
def test_what_is_no_metric_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(StepFailed, match="line 2 of the answer"):
        list(samples_of("a", f"# a page\n{line}\n"))


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"metric": "shop_orders_total"}, (41.0, 1)),
        ({"metric": "shop_free"}, (-3.0, 1)),
        ({"metric": "shop_seconds", "labels": {"path": "/", "quantile": "0.95"}}, (0.25, 1)),
        ({"metric": "shop_seconds", "labels": {"path": "/c*"}}, (0.75, 1)),
        ({"metric": "shop_seconds", "labels": {"quantile": "0.95"}, "aggregate": "max"}, (0.75, 2)),
        ({"metric": "shop_seconds", "labels": {"quantile": "0.95"}, "aggregate": "min"}, (0.25, 2)),
        ({"metric": "shop_seconds", "labels": {"quantile": "0.95"}, "aggregate": "sum"}, (1.0, 2)),
        ({"metric": "shop_seconds", "labels": {"quantile": "0.95"}, "aggregate": "avg"}, (0.5, 2)),
    ],
)
def test_a_figure_is_read(harness: Harness, url: str, params: dict[str, Any], wanted: tuple[float, int]) -> None:
    got = value(harness, url, **params)
    assert (got["value"], got["series"]) == wanted


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"metric": "shop_gone"}, TargetFailed, "shop_gone.*is not there"),
        ({"metric": "shop_seconds", "labels": {"path": "[/]"}}, TargetFailed, "is not there"),
        ({"metric": "shop_orders_total", "labels": {"a": "1"}}, TargetFailed, "is not there"),
        ({"metric": "shop_seconds"}, StepFailed, "has 3 series"),
        ({"metric": "shop_load"}, StepFailed, "inf, which is no figure"),
        ({"metric": "shop_rate", "aggregate": "max"}, StepFailed, "nan, which is no figure"),
        ({"metric": "shop_orders_total", "at_most": 40}, StepFailed, "41.0, and may be at most 40"),
        ({"metric": "shop_orders_total", "at_least": 42}, StepFailed, "41.0, and may be at least 42"),
        ({"metric": "a b"}, Refused, "metric"),
        ({"metric": "a", "query": "b"}, Refused, "query"),
        ({}, Refused, "metric"),
        ({"metric": "a", "over": "10ms"}, Refused, "over must be from"),
        ({"metric": "a", "labels": {"a-b": "1"}}, Refused, "labels"),
    ],
)
def test_what_is_no_figure_is_never_good(
    harness: Harness, url: str, params: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        value(harness, url, **params)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (page("a 1\n", "503 Down"), InfrastructureFailed, "answered 503"),
        (page("a 1\n", "404 Gone"), StepFailed, "answered 404"),
        (page("<html>\n"), StepFailed, "line 1"),
        (lambda asked: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 1\n", InfrastructureFailed, "9"),
        (lambda asked: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na \xff", StepFailed, "UTF-8"),
        (lambda asked: None, InfrastructureFailed, "no whole answer"),
    ],
)
def test_bad_answers(harness: Harness, answer: Any, error: type[Exception], says: str) -> None:
    with serving(answer) as port, pytest.raises(error, match=says):
        value(harness, f"http://127.0.0.1:{port}/", metric="a", timeout="300ms")


def test_an_answer_without_end_is_not_taken(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "BODY_LIMIT", 1000)
    with serving(page("a 1\n" + "b 1\n" * 250)) as port, pytest.raises(StepFailed, match="more than 1000 bytes"):
        value(harness, f"http://127.0.0.1:{port}/", metric="a")


def test_a_counter_gives_its_increase_per_second(harness: Harness) -> None:
    counts = iter([100, 400, 5])
    lock = threading.Lock()

    def answer(asked: bytes) -> bytes:
        with lock:
            return page(f"hits_total {next(counts)}\n")(asked)

    with serving(answer) as port:
        got = value(harness, f"http://127.0.0.1:{port}/", metric="hits_total", over="1s")
        assert 0 < got["value"] <= 300
    counts = iter([9, 5])
    with serving(answer) as port, pytest.raises(StepFailed, match=r"fell from 9\.0 to 5\.0"):
        value(harness, f"http://127.0.0.1:{port}/", metric="hits_total", over="1s")


def test_prometheus_is_asked_for_its_answer_to_a_query(harness: Harness) -> None:
    asked: list[str] = []

    def answer(request: bytes) -> bytes:
        asked.append(request.split(b" ")[1].decode())
        series = [{"metric": {"i": "a"}, "value": [1, "2"]}, {"metric": {"i": "b"}, "value": [1, "4"]}]
        return page(json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}}))(request)

    with serving(answer) as port:
        got = value(harness, f"http://127.0.0.1:{port}/prom/", query='rate(a{b="c"}[5m])', aggregate="avg")
        one = value(harness, f"http://127.0.0.1:{port}/prom/", query="a", labels={"i": "b"})
    assert (got["value"], one["value"]) == (3.0, 4.0)
    assert urlsplit(asked[0]).path == "/prom/api/v1/query"
    assert parse_qs(urlsplit(asked[0]).query) == {"query": ['rate(a{b="c"}[5m])']}


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400, Refused),
        ({"status": "error", "errorType": "timeout", "error": "too slow"}, 503, InfrastructureFailed),
        ({"status": "error", "errorType": "not_found", "error": "?"}, 404, StepFailed),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, 200, Refused),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}, 200, StepFailed),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "x"]}]}}, 200,
         StepFailed),
        ({"status": "success", "data": None}, 200, StepFailed),
        ([], 200, StepFailed),
        ("bad gateway", 502, InfrastructureFailed),
    ],
)  # fmt: skip
def test_what_prometheus_does_not_answer(answer: Any, status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        samples_in(json.dumps(answer).encode(), status)


def test_a_scalar_is_one_figure_and_nothing_is_none() -> None:
    scalar = {"status": "success", "data": {"resultType": "scalar", "result": [1, "2.5"]}}
    assert samples_in(json.dumps(scalar).encode(), 200) == [Sample({}, 2.5)]
    empty = {"status": "success", "data": {"resultType": "vector", "result": []}}
    assert samples_in(json.dumps(empty).encode(), 200) == []
    assert query_url("http://p:9090", "up") == "http://p:9090/api/v1/query?query=up"
