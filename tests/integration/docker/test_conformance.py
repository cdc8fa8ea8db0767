"""Every step type of the plugin passes the conformance suite, and leaves an engine as it should."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.registration import overrides
from pilotage_plugin_api.testing import Conformance, Sample
from pilotage_plugin_api.testing.conformance import World
from pilotage_plugins.container.creation import ContainerCreate
from pilotage_plugins.container.execution import ContainerExec
from pilotage_plugins.container.image import ContainerPull, ContainerResolveImage
from pilotage_plugins.container.inspection import ContainerHealth, ContainerInspect, ContainerList, ContainerLogs
from pilotage_plugins.container.lifecycle import (
    ContainerPause,
    ContainerRemove,
    ContainerRestart,
    ContainerStart,
    ContainerStop,
    ContainerUnpause,
)
from pilotage_plugins.container.network import NetworkCreate, NetworkRemove, VolumeCreate, VolumeRemove
from pilotage_plugins.container.resume import ContainerResumeAll
from pilotage_plugins.container.revert import ContainerRevert
from pilotage_plugins.container.snapshot import ContainerSnapshot
from pilotage_plugins.container.upgrade import ContainerUpgrade
from pilotage_plugins.discovery.containers import DiscoveryContainers, DiscoveryVolumes

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP

CHANGED = frozenset({"changed"})
QUICK = {"min_healthy_time": "0s", "healthy_deadline": "60s", "every": "50ms"}


class OnEngine(Conformance):
    """Runs on the engine, whose picture counts as much as the sandbox's."""

    site: EngineSite
    start: Callable[..., dict[str, Any]]

    @pytest.fixture(autouse=True)
    def _on_engine(self, engine: EngineSite, start: Callable[..., dict[str, Any]]) -> None:
        self.site = engine
        self.start = start

    def sample(self, sandbox: Path) -> Sample:
        params, more = self.parameters(), self.more()
        return Sample(params, facts={"vars": {"docker_host": self.site.address}}, **more)

    def parameters(self) -> dict[str, Any]:
        self.start("web", f"{APP}:1")
        return {"container": "web"}

    def more(self) -> dict[str, Any]:
        return {}

    def picture(self) -> dict[str, Any]:
        return self.site.picture()

    def test_the_engine_is_left_as_it_should_be(self, world: World) -> None:
        """Preview and effect read change nothing there; undo, once or twice, puts everything back."""
        before = self.picture()
        world.harness.preview(self.step_type, world.sample.params)
        assert self.picture() == before
        outputs = world.run()
        if self.step_type.effect == "read":
            assert self.picture() == before
        if overrides(self.step_type, "undo"):
            for _ in range(2):
                world.harness.undo(self.step_type, world.sample.params, outputs)
                assert self.picture() == before


class TestInspect(OnEngine):
    step_type = ContainerInspect()


class TestList(OnEngine):
    step_type = ContainerList()

    def parameters(self) -> dict[str, Any]:
        self.start("web", "--label", "role=web", f"{APP}:1")
        return {"labels": ["role=web"]}


class TestDiscoveryContainers(OnEngine):
    step_type = DiscoveryContainers()

    def parameters(self) -> dict[str, Any]:
        self.start("web", f"{APP}:1")
        return {}


class TestDiscoveryVolumes(OnEngine):
    step_type = DiscoveryVolumes()

    def parameters(self) -> dict[str, Any]:
        self.site.ask("POST", "/volumes/create", {"Name": "data"})
        return {}


class TestLogs(OnEngine):
    step_type = ContainerLogs()


class TestHealth(OnEngine):
    step_type = ContainerHealth()

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), **QUICK}

    def more(self) -> dict[str, Any]:
        return {"long": {"container": "web", "min_healthy_time": "40s"}}


class TestResolveImage(OnEngine):
    step_type = ContainerResolveImage()

    def parameters(self) -> dict[str, Any]:
        return {"image": f"{APP}:1"}


class TestPull(OnEngine):
    step_type = ContainerPull()

    def parameters(self) -> dict[str, Any]:
        return {"image": f"{APP}:1"}


class TestCreate(OnEngine):
    step_type = ContainerCreate()

    def parameters(self) -> dict[str, Any]:
        return {"name": "made", "image": f"{APP}:1"}


class TestStart(OnEngine):
    step_type = ContainerStart()

    def parameters(self) -> dict[str, Any]:
        self.start("web", f"{APP}:1")
        self.site.docker("stop", "web")
        return {"container": "web"}


class TestStop(OnEngine):
    step_type = ContainerStop()


class TestRestart(OnEngine):
    step_type = ContainerRestart()


class TestPause(OnEngine):
    step_type = ContainerPause()

    def in_order(self, world: World) -> None:
        assert self.site.inspect("web")["State"]["Status"] == "running"


class TestResumeAll(OnEngine):
    step_type = ContainerResumeAll()

    def parameters(self) -> dict[str, Any]:
        return {"paused_by": "exe_test"}


class TestUnpause(OnEngine):
    step_type = ContainerUnpause()

    def parameters(self) -> dict[str, Any]:
        params = super().parameters()
        self.site.docker("pause", "web")
        return params

    def more(self) -> dict[str, Any]:
        return {"ignored_outputs": CHANGED}


class TestRemove(OnEngine):
    step_type = ContainerRemove()

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "force": True}

    def more(self) -> dict[str, Any]:
        return {"ignored_outputs": CHANGED | {"id"}}


class TestExec(OnEngine):
    step_type = ContainerExec()

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "argv": ["/bin/cat", "/www/index.html"]}

    def more(self) -> dict[str, Any]:
        return {"long": {"container": "web", "argv": ["/bin/sleep", "60"]}}


class TestSnapshot(OnEngine):
    step_type = ContainerSnapshot()


class TestUpgrade(OnEngine):
    step_type = ContainerUpgrade()

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "image": f"{APP}:2", "health": QUICK}

    def more(self) -> dict[str, Any]:
        return {"long": {"container": "web", "image": f"{APP}:2", "health": {"min_healthy_time": "40s"}}}

    def in_order(self, world: World) -> None:
        assert self.site.names() == {"web"}
        found = self.site.inspect("web")
        assert (found["State"]["Running"], found["Config"]["Image"]) == (True, f"{APP}:1")


class TestRevert(OnEngine):
    step_type = ContainerRevert()

    def more(self) -> dict[str, Any]:
        return {"ignored_outputs": CHANGED}


class TestNetworkCreate(OnEngine):
    step_type = NetworkCreate()

    def parameters(self) -> dict[str, Any]:
        return {"name": "front", "subnet": "172.31.9.0/24"}


class TestNetworkRemove(OnEngine):
    step_type = NetworkRemove()

    def parameters(self) -> dict[str, Any]:
        self.site.docker("network", "create", "front")
        return {"name": "front"}

    def more(self) -> dict[str, Any]:
        return {"ignored_outputs": CHANGED}


class TestVolumeCreate(OnEngine):
    step_type = VolumeCreate()

    def parameters(self) -> dict[str, Any]:
        return {"name": "data"}


class TestVolumeRemove(OnEngine):
    step_type = VolumeRemove()

    def parameters(self) -> dict[str, Any]:
        self.site.docker("volume", "create", "data")
        return {"name": "data"}

    def more(self) -> dict[str, Any]:
        return {"ignored_outputs": CHANGED}
