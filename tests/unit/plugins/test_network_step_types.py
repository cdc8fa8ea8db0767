"""Requests, measurements and ports: against servers that answer, refuse, stall, break off and lead elsewhere."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed
from pilotage_plugin_api.catalogue import load_catalogue
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.http.check import HttpCheck
from pilotage_plugins.http.measure import HttpMeasure, quantile
from pilotage_plugins.http.request import HttpRequest
from pilotage_plugins.network.tcp import TcpCheck
from pilotage_plugins.wait.until import WaitUntil

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def serving(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """Answer each connection's first bytes; None keeps it open and silent."""
    server = socket.create_server(("127.0.0.1", 0), backlog=100)
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
                answered = answer(connection.recv(65536))
                if answered is None:
                    kept.append(connection)
                    continue
                connection.sendall(answered)
                connection.close()
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for connection in kept:
            connection.close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_what_is_sent_is_what_was_written(harness: Harness) -> None:
    got: list[bytes] = []

    def answer(request: bytes) -> bytes:
        got.append(request)
        return OK

    with serving(answer) as port:
        url = f"http://127.0.0.1:{port}/hook?x=1"
        harness.run(HttpRequest(), {"url": url, "json_body": {"text": "ü"}, "headers": {"X-Kind": "note"}})
        harness.run(HttpRequest(), {"url": url, "method": "PUT"})
    assert got[0].startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
    assert b"Content-Type: application/json\r\n" in got[0]
    assert got[0].endswith(b'\r\n\r\n{"text": "\xc3\xbc"}')
    assert b"\r\nContent-Length: 0\r\n" in got[1]


def test_an_answer_that_is_not_good_is_quoted(harness: Harness) -> None:
    with serving(lambda _: b"HTTP/1.1 422 No\r\nContent-Length: 9\r\n\r\nno colour") as port:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(StepFailed, match=r"POST .* answered by 422, expected 200 or 201.*no colour"):
            harness.run(HttpRequest(), {"url": url})
        with pytest.raises(StepFailed, match="did not answer with JSON"):
            harness.run(HttpRequest(), {"url": url, "expect": [422], "parse": True})


def test_an_answer_that_never_came_may_have_been_carried_out(harness: Harness) -> None:
    with serving(lambda _: None) as port, pytest.raises(InfrastructureFailed, match="may have been carried out"):
        harness.run(HttpRequest(), {"url": f"http://127.0.0.1:{port}/", "timeout": "200ms"})


def test_a_request_has_one_body_and_headers_no_lines(harness: Harness) -> None:
    with pytest.raises(Refused, match="send one"):
        harness.run(HttpRequest(), {"url": "http://127.0.0.1:9/", "body": "x", "json_body": 1})
    harness.secrets.contents["t"] = b"a\r\nX-More: b"
    with pytest.raises(Refused, match="no header can carry"):
        harness.run(HttpRequest(), {"url": "http://127.0.0.1:9/", "secret_headers": {"A": "secret://t"}})


def test_a_secret_header_never_follows_a_redirect_elsewhere(harness: Harness) -> None:
    got: list[bytes] = []

    def answer(request: bytes) -> bytes:
        got.append(request)
        return OK

    harness.secrets.contents["t"] = b"canary-3301"
    with serving(answer) as other:
        there = b"HTTP/1.1 302 Go\r\nLocation: http://localhost:%d/\r\nContent-Length: 0\r\n\r\n" % other
        with serving(lambda _: there) as port:
            params = {"url": f"http://127.0.0.1:{port}/", "redirects": 1, "secret_headers": {"A": "secret://t"}}
            harness.run(HttpCheck(), params)
    assert b"canary" not in got[0]


def test_figures_tell_errors_by_cause_and_limits_fail(harness: Harness) -> None:
    answers = iter([OK, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"rubbish\r\n\r\n", *[OK] * 100])
    with serving(lambda _: next(answers)) as port:
        params = {"url": f"http://127.0.0.1:{port}/", "duration": "100ms", "rate": 100.0}
        outputs = harness.run(HttpMeasure(), params)
        assert (outputs["requests"], outputs["failed"], outputs["error_rate"]) == (10, 2, 0.2)
        assert outputs["errors"] == {"broken answer": 1, "status 503": 1}
        assert 0 < outputs["p50"] <= outputs["p95"] <= outputs["max"]
        with pytest.raises(StepFailed, match="takes too long"):
            harness.run(HttpMeasure(), {**params, "max_p95": "0s"})


def test_a_server_that_is_down_has_an_error_rate_of_one(harness: Harness, closed_port: int) -> None:
    params = {"url": f"http://127.0.0.1:{closed_port}/", "duration": "50ms", "rate": 100.0}
    assert harness.run(HttpMeasure(), params)["errors"] == {"cannot connect": 5}
    with pytest.raises(StepFailed, match=r"the error rate is 1\.0, the limit 0\.5"):
        harness.run(HttpMeasure(), {**params, "max_error_rate": 0.5})


def test_a_server_that_stalls_is_asked_no_less_often(harness: Harness) -> None:
    with serving(lambda _: None) as port:
        started = time.monotonic()
        params = {"url": f"http://127.0.0.1:{port}/", "duration": "200ms", "rate": 50.0, "timeout": "300ms"}
        outputs = harness.run(HttpMeasure(), {**params, "concurrency": 4})
    assert outputs["errors"] == {"timeout": 4, "too many unanswered": 6}
    assert time.monotonic() - started < 5
    assert outputs["p50"] is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 5.0), (0.95, 10.0), (0.9, 9.0), (0.01, 1.0), (1.0, 10.0)])
def test_quantiles_are_nearest_ranks(share: float, value: float) -> None:
    assert quantile([float(n) for n in range(1, 11)], share) == value
    assert quantile([], share) is None


def test_a_port_is_checked_for_what_it_says(harness: Harness, closed_port: int) -> None:
    with serving(lambda got: b"+PONG\r\n" if got == b"PING\r\n" else b"-ERR\r\n") as port:
        params: dict[str, Any] = {"address": "127.0.0.1", "port": port, "send": "PING\r\n", "contains": "+PONG"}
        assert harness.run(TcpCheck(), params)["said"] == "+PONG\r\n"
        with pytest.raises(StepFailed, match=r"said b'-ERR.*without '\+PONG'"):
            harness.run(TcpCheck(), {**params, "send": "HELO"})
        with pytest.raises(StepFailed, match="takes connections, and should not"):
            harness.run(TcpCheck(), {**params, "open": False})
    down = {"address": "127.0.0.1", "port": closed_port}
    with pytest.raises(InfrastructureFailed, match=f"127.0.0.1 port {closed_port}"):
        harness.run(TcpCheck(), down)
    assert harness.run(TcpCheck(), {**down, "open": False})["open"] is False


def test_a_port_that_says_nothing_is_given_up_in_time(harness: Harness) -> None:
    params = {"address": "127.0.0.1", "send": "x", "contains": "y", "timeout": "100ms"}
    with serving(lambda _: None) as port, pytest.raises(InfrastructureFailed, match="no answer within"):
        harness.run(TcpCheck(), {**params, "port": port})


def test_waiting_works_for_every_read(harness: Harness) -> None:
    harness.catalogue = load_catalogue()
    with serving(lambda _: OK) as port:
        check = {"type": "tcp.check", "parameters": {"address": "127.0.0.1", "port": port, "send": "x"}}
        assert harness.run(WaitUntil(), {"check": check})["outputs"]["open"]
    with pytest.raises(Refused, match="only step types of effect read"):
        harness.run(WaitUntil(), {"check": {"type": "http.request", "parameters": {"url": "http://127.0.0.1:9/"}}})
