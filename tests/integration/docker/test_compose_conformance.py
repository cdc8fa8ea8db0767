"""The compose step types pass the conformance suite, and leave an engine as they should."""

from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.testing import Sample
from pilotage_plugin_api.testing.conformance import World
from pilotage_plugins.compose.down import ComposeDown
from pilotage_plugins.compose.listing import ComposeConfig, ComposeList
from pilotage_plugins.compose.pull import ComposePull
from pilotage_plugins.compose.up import ComposeUp

from tests.integration.docker.images import APP
from tests.integration.docker.test_conformance import CHANGED, OnEngine

TEXT = f"""
services:
  web: {{image: "{APP}:1", stop_signal: SIGKILL, environment: {{TOKEN: "${{TOKEN}}"}}, volumes: ["data:/data"]}}
volumes: {{data: {{}}}}
"""
ENV = {"TOKEN": "secret://token"}


@pytest.mark.usefixtures("compose")
class OnProject(OnEngine):
    """A project of one service, whose secret must not be seen."""

    folder: Path

    def sample(self, sandbox: Path) -> Sample:
        self.folder = sandbox
        (sandbox / "compose.yaml").write_text(TEXT)
        params, more = self.parameters(), self.more()
        facts = {"vars": {"docker_host": self.site.address}}
        # Compose takes what a file's ${...} stand for from its environment.
        seen = frozenset({"token"})
        return Sample(params, facts=facts, secrets={"token": b"canary-3317"}, in_environment=seen, **more)

    def parameters(self) -> dict[str, Any]:
        return {"directory": str(self.folder), "project": "shop", "env": ENV}

    def bring_up(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TOKEN", "canary-3317")
            self.site.docker(
                "compose", "-p", "shop", "-f", str(self.folder / "compose.yaml"), "up", "--detach", "--pull", "never"
            )


class TestComposeConfig(OnProject):
    step_type = ComposeConfig()


class TestComposePull(OnProject):
    step_type = ComposePull()


class TestComposeList(OnProject):
    step_type = ComposeList()

    def parameters(self) -> dict[str, Any]:
        self.bring_up()
        return {}


class TestComposeUp(OnProject):
    step_type = ComposeUp()

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "min_healthy_time": "0s", "every": "50ms"}

    def more(self) -> dict[str, Any]:
        return {"long": {**self.parameters(), "min_healthy_time": "40s"}}

    def in_order(self, world: World) -> None:
        """What was cut off had found an empty engine."""
        assert self.site.names() == set()


class TestComposeDown(OnProject):
    step_type = ComposeDown()

    def parameters(self) -> dict[str, Any]:
        self.bring_up()
        return {"project": "shop", "env": ENV}

    def more(self) -> dict[str, Any]:
        return {"ignored_outputs": CHANGED}

    def picture(self) -> dict[str, Any]:
        """What comes back has other ids."""
        seen = self.site.picture()
        return {
            "containers": sorted(map(repr, seen["containers"].values())),
            "networks": sorted(seen["networks"].values()),
            "volumes": seen["volumes"],
        }
