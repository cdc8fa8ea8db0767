"""The harness itself."""

import urllib.request
from collections.abc import Callable
from typing import Any

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP


def test_a_published_port_answers_inside(engine: EngineSite, start: Callable[..., dict[str, Any]]) -> None:
    start("web", "-p", "8080:8080", f"{APP}:1")
    with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=5) as answer:
        assert answer.read() == b"version 1\n"
