"""One engine for all tests of this folder; each test gets it empty of containers, networks and volumes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.note import shelf

from tests.integration.docker.compose_site import docker_config, why_no_compose
from tests.integration.docker.engine_site import EngineSite, engine_site, why_not
from tests.integration.docker.images import make_images


@pytest.fixture(scope="session")
def running_engine() -> Iterator[EngineSite]:
    if reason := why_not():
        pytest.skip(f"no Docker Engine for tests here: {reason}")
    with engine_site() as site:
        make_images(site)
        yield site


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the notes of step runs, which have the same names in many tests."""
    folder = tmp_path / "notes"
    monkeypatch.setattr(shelf, "folder", lambda: folder)
    return folder


@pytest.fixture
def engine(running_engine: EngineSite) -> Iterator[EngineSite]:
    """The engine, seen from the host on which it runs."""
    with running_engine.inside():
        yield running_engine
    running_engine.remove_everything()


@pytest.fixture
def host(harness: Harness, engine: EngineSite) -> Harness:
    """A host whose inventory names the engine's socket."""
    harness.facts["vars"] = {"docker_host": engine.address}
    return harness


@pytest.fixture
def start(engine: EngineSite) -> Callable[..., dict[str, Any]]:
    """Start a container with the docker program (without options: by hand, which is quicker) and return what it is."""

    def start(name: str, *argv: str) -> dict[str, Any]:
        if len(argv) == 1:
            engine.ask("POST", f"/containers/create?name={name}", {"Image": argv[0], "StopSignal": "SIGKILL"})
            engine.ask("POST", f"/containers/{name}/start")
            return engine.inspect(name)
        engine.docker("run", "-d", "--name", name, "--stop-signal", "SIGKILL", *argv)
        return engine.inspect(name)

    return start


@pytest.fixture
def compose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program `docker compose`, and a folder for notes that is not the machine's own."""
    config = docker_config(tmp_path / "docker-config")
    if reason := why_no_compose(config):
        pytest.skip(f"no docker compose for tests here: {reason}")
    monkeypatch.setenv("DOCKER_CONFIG", config)
    monkeypatch.setattr(shelf, "folder", lambda: tmp_path / "notes")
