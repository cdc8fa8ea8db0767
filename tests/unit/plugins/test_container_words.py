"""References, ports, health checks, addresses of engines, and what an engine's refusals mean."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepError, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container import connection
from pilotage_plugins.container.connection import socket_of
from pilotage_plugins.container.errors import failure
from pilotage_plugins.container.health import HealthCheck
from pilotage_plugins.container.image import PullParams
from pilotage_plugins.container.inspection import ContainerInspect
from pilotage_plugins.container.port import bindings
from pilotage_plugins.container.reference import is_digest, pinned, registry_of, repository_of
from pydantic import ValidationError

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("host:5000/shop/app", "host:5000/shop/app"),
        ("host:5000/shop/app:2", "host:5000/shop/app"),
        (f"host:5000/shop/app:2@{DIGEST}", "host:5000/shop/app"),
    ],
)
def test_a_reference_names_its_repository(reference: str, repository: str) -> None:
    assert repository_of(PullParams(image=reference).image) == repository
    assert is_digest(reference) == reference.endswith(DIGEST)


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("nginx", "docker.io"),
        ("shop/app:2", "docker.io"),
        ("localhost/app", "localhost"),
        ("vault.example/shop/app", "vault.example"),
        ("host:5000/app", "host:5000"),
    ],
)
def test_a_reference_names_its_registry(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


@pytest.mark.parametrize("reference", ["", "UPPER", "a b", "x:", "x@sha256:12", "../x", "x:1/../../y", "x\n"])
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(ValidationError):
        PullParams(image=reference)


def test_an_image_is_pinned_by_the_digest_of_the_repository_asked_for() -> None:
    image = {"Id": "sha256:" + "b" * 64, "RepoDigests": [f"other@sha256:{'c' * 64}", f"nginx@{DIGEST}"]}
    assert pinned("docker.io/library/nginx:1", image) == f"nginx@{DIGEST}"
    assert pinned("mine:1", image) == image["Id"]
    assert pinned(f"x:1@{DIGEST}", image) == f"x@{DIGEST}"


def test_ports_are_published_as_docker_does() -> None:
    exposed, published = bindings(["8080:80", "127.0.0.1:53:53/udp", "8081:80", "[::1]:1:2"])
    assert set(exposed) == {"80/tcp", "53/udp", "2/tcp"}
    assert published["80/tcp"] == [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "", "HostPort": "8081"}]
    assert published["53/udp"] == [{"HostIp": "127.0.0.1", "HostPort": "53"}]
    assert published["2/tcp"] == [{"HostIp": "::1", "HostPort": "1"}]


@pytest.mark.parametrize(
    "check",
    [
        {"docker": True, "none": True},
        {"http": {}},
        {"http": {"url": "http://x/", "port": 1}},
        {"http": {"url": "https://x/"}},
        {"tcp": {"port": 0}},
        {"command": []},
        {"every": "1ms"},
        {"min_healthy_time": "10m"},
    ],
)
def test_a_health_check_that_makes_no_sense_is_refused(check: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HealthCheck.model_validate(check)


@pytest.mark.parametrize(
    ("status", "message", "kind", "word"),
    [
        (500, "manifest for x:9 not found: manifest unknown", Refused, "no such image"),
        (404, "No such image: x:9", Refused, "no such image"),
        (500, "Get https://r/v2/: dial tcp 1.2.3.4:443: connect: connection refused", InfrastructureFailed, "registry"),
        (500, "write /var/lib/docker/x: no space left on device", InfrastructureFailed, "disk"),
        (0, "no matching manifest for linux/arm64/v8", TargetFailed, "kind of machine"),
        (500, "Bind for 0.0.0.0:80 failed: port is already allocated", TargetFailed, "port"),
        (404, "No such container: x", TargetFailed, "not there"),
        (400, "invalid mount", Refused, "refused"),
        (900, "gone", InfrastructureFailed, "went away"),
        (500, "odd", StepFailed, "500"),
    ],
)
def test_refusals_of_the_engine_get_the_kind_that_they_mean(
    status: int, message: str, kind: type[StepError], word: str
) -> None:
    error = failure(status, message, "doing it")
    assert type(error) is kind
    assert "doing it" in str(error)
    assert word in str(error)


def test_the_socket_comes_from_step_host_or_environment(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert socket_of(None, harness.context("k", harness.sandbox)) == "/var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/env.sock")
    assert socket_of(None, harness.context("k", harness.sandbox)) == "/run/env.sock"
    harness.facts["vars"] = {"docker_host": "unix:///run/host.sock"}
    assert socket_of(None, harness.context("k", harness.sandbox)) == "/run/host.sock"
    assert socket_of("unix:///run/step.sock", harness.context("k", harness.sandbox)) == "/run/step.sock"
    harness.facts["vars"] = {"docker_host": "tcp://10.0.0.1:2375"}
    with pytest.raises(TargetFailed, match="no local socket"):
        socket_of(None, harness.context("k", harness.sandbox))


def test_a_closed_door_says_why(harness: Harness) -> None:
    missing = {"container": "web", "engine": f"unix://{harness.sandbox}/none.sock"}
    with pytest.raises(TargetFailed, match="no Docker socket"):
        harness.run(ContainerInspect(), missing)
    dead = _dead_socket(harness.sandbox)
    with pytest.raises(InfrastructureFailed, match="nothing answers"):
        harness.run(ContainerInspect(), {"container": "web", "engine": f"unix://{dead}"})
    harness.facts["vars"] = {"docker_host": f"unix://{dead}"}
    answer = harness.available(ContainerInspect())
    assert not answer.available
    assert "nothing answers" in answer.reason


class Strange:
    """Something that listens as an engine does, and answers the first so many requests with these lines."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readline()
            if self.answers:
                writer.write(self.answers.pop(0) + b"\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((b"HTTP/1.1 200 OK",), "went away"),
        ((), "is not well: asked for a sign of life, it said b''"),
        ((b"HTTP/1.1 500 Internal Server Error",), "is not well.*500"),
        ((b"SSH-2.0-OpenSSH_9.2",), "is not well.*SSH"),
    ],
)
def test_what_does_not_answer_as_an_engine_is_an_infrastructure_failure(
    harness: Harness, answers: tuple[bytes, ...], why: str
) -> None:
    async def scenario() -> None:
        path = harness.sandbox / "rude.sock"
        async with await asyncio.start_unix_server(Strange(*answers).serve, path):
            params = {"container": "web", "engine": f"unix://{path}"}
            with pytest.raises(InfrastructureFailed, match=why):
                await asyncio.to_thread(harness.run, ContainerInspect(), params)

    asyncio.run(scenario())


def test_an_engine_that_stands_still_is_not_available(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket takes connections all the same: the kernel does that."""
    monkeypatch.setattr(connection, "AVAILABLE_SECONDS", 0.2)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2)
    path = harness.sandbox / "still.sock"
    with socket.socket(socket.AF_UNIX) as still:
        still.bind(str(path))
        still.listen()
        with pytest.raises(InfrastructureFailed, match=r"has not answered for 0\.2 s"):
            harness.run(ContainerInspect(), {"container": "web", "engine": f"unix://{path}"})
        harness.facts["vars"] = {"docker_host": f"unix://{path}"}
        answer = harness.available(ContainerInspect())
    assert not answer.available
    assert "stands still" in answer.reason


def test_the_library_is_loaded_only_by_a_step_that_runs() -> None:
    """It costs 15 MiB, which the zygote and every other worker would carry."""
    code = "import sys, pilotage_plugins; sys.exit('aiohttp' in sys.modules or 'aiodocker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _dead_socket(folder: Path) -> Path:
    """A socket whose server has gone."""

    async def scenario() -> None:
        server = await asyncio.start_unix_server(lambda reader, writer: None, folder / "live.sock")
        os.link(folder / "live.sock", folder / "dead.sock")
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())
    return folder / "dead.sock"
