"""An engine whose disk is full."""

import shutil

import pytest
from pilotage_plugin_api import InfrastructureFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container.image import ContainerPull

from tests.integration.docker.engine_site import EngineSite, engine_site
from tests.integration.docker.images import APP

LEFT = 600_000
"""Bytes, less than an image of ours and more than an engine writes by the way."""


def test_a_pull_onto_a_full_disk_says_so_and_the_next_one_works(harness: Harness, running_engine: EngineSite) -> None:
    with engine_site(registry=running_engine.folder / "registry", small_disk="48m") as small, small.inside():
        harness.facts["vars"] = {"docker_host": small.address}
        data = small.folder / "data"
        ballast = data / "ballast"
        ballast.write_bytes(b"x" * (shutil.disk_usage(data).free - LEFT))
        with pytest.raises(InfrastructureFailed, match="disk of the Docker Engine is full"):
            harness.run(ContainerPull(), {"image": f"{APP}:1"})
        ballast.unlink()
        assert harness.run(ContainerPull(), {"image": f"{APP}:1"})["pulled"] is True
