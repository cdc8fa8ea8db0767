"""An engine whose disk is full."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pilotage_plugin_api import InfrastructureFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container.image import ContainerPull
from pilotage_plugins.container.upgrade import ContainerUpgrade

from tests.integration.docker.engine_site import EngineSite, engine_site
from tests.integration.docker.images import APP

LEFT = 600_000
"""Bytes, less than an image of ours and more than an engine writes by the way."""


FULL = "disk of the Docker Engine is full"


def test_a_pull_onto_a_full_disk_says_so_and_the_next_one_works(harness: Harness, running_engine: EngineSite) -> None:
    with engine_site(registry=running_engine.folder / "registry", small_disk="48m") as small, small.inside():
        harness.facts["vars"] = {"docker_host": small.address}
        with _full(small), pytest.raises(InfrastructureFailed, match=FULL):
            harness.run(ContainerPull(), {"image": f"{APP}:1"})
        assert harness.run(ContainerPull(), {"image": f"{APP}:1"})["pulled"] is True

        small.docker("run", "-d", "--name", "web", "--stop-signal", "SIGKILL", f"{APP}:1")
        before = small.inspect("web")
        wanted = {"container": "web", "image": f"{APP}:2", "health": {"none": True, "min_healthy_time": "100ms"}}
        with _full(small), pytest.raises(InfrastructureFailed, match=FULL):
            harness.run(ContainerUpgrade(), wanted)
        after = small.inspect("web")
        assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
        assert small.names() == {"web"}
        assert harness.run(ContainerUpgrade(), wanted)["changed"]


@contextmanager
def _full(engine: EngineSite) -> Iterator[None]:
    """Leave the engine no room for an image, for a while."""
    data = engine.folder / "data"
    ballast = data / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(data).free - LEFT))
    try:
        yield
    finally:
        ballast.unlink()
