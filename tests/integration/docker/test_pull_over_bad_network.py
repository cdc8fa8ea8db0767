"""A registry that goes away in the middle of a pull, through a proxy in front of the real one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, StepType
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.compose.pull import ComposePull
from pilotage_plugins.container.creation import ContainerCreate
from pilotage_plugins.container.image import ContainerPull, ContainerResolveImage
from pilotage_plugins.container.upgrade import ContainerUpgrade

from tests.integration.cutting_proxy import CuttingProxy, running_proxy
from tests.integration.docker.engine_site import REGISTRY, EngineSite
from tests.integration.docker.images import push_large

MEBIBYTES = 4
HALF = MEBIBYTES * 1024 * 1024 // 2
Start = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def pushed(running_engine: EngineSite) -> str:
    """An image that only the registry has, by its path there."""
    with running_engine.inside():
        push_large(running_engine, f"{REGISTRY}/shop/large:1", MEBIBYTES)
    return "shop/large:1"


@pytest.fixture
def proxy(engine: EngineSite) -> Iterator[CuttingProxy]:
    """The way to the registry, as the engine takes it."""
    with running_proxy(int(REGISTRY.rpartition(":")[2])) as proxy:
        yield proxy


def pulled(engine: EngineSite, reference: str) -> bool:
    return engine.ask("GET", f"/images/{reference}/json") is not None


def test_a_registry_that_is_cut_off_fails_the_pull_as_infrastructure_and_the_next_one_succeeds(
    host: Harness, engine: EngineSite, proxy: CuttingProxy, pushed: str
) -> None:
    reference = f"127.0.0.1:{proxy.port}/{pushed}"
    proxy.cut_after, proxy.stay_dead = HALF, True  # the engine itself mends a connection that can be made anew
    with pytest.raises(InfrastructureFailed, match=f"pulling {reference}: the registry cannot be reached"):
        host.run(ContainerPull(), {"image": reference}, timeout=60)
    assert proxy.cuts == 1
    assert not pulled(engine, reference)
    proxy.dead = False
    assert host.run(ContainerPull(), {"image": reference}, timeout=60)["pulled"]
    engine.docker("rmi", "-f", reference)


def silent(proxy: CuttingProxy) -> str:
    return f"127.0.0.1:{proxy.port}/shop/large:1: nothing has come from the registry 127.0.0.1:{proxy.port} for 0.5 s"


def test_a_registry_that_falls_silent_does_not_hold_a_step_until_its_timeout(
    host: Harness, engine: EngineSite, proxy: CuttingProxy, pushed: str
) -> None:
    reference = f"127.0.0.1:{proxy.port}/{pushed}"
    proxy.hang_after = HALF
    with pytest.raises(InfrastructureFailed, match=silent(proxy)):
        host.run(ContainerPull(), {"image": reference, "stall_wait": "500ms"}, timeout=60)
    assert proxy.reached.is_set()
    assert not pulled(engine, reference)


def test_no_step_waits_for_ever_for_an_image(
    host: Harness, engine: EngineSite, proxy: CuttingProxy, pushed: str, start: Start, tmp_path: Path, compose: None
) -> None:
    """Each step type that pulls: nothing was changed when it gives up."""
    reference = f"127.0.0.1:{proxy.port}/{pushed}"
    before = start("web", "bb:base")["Id"]
    (tmp_path / "compose.yaml").write_text(f"services: {{web: {{image: '{reference}'}}}}\n")
    proxy.hang_after = 0
    asked: list[tuple[StepType[Any, Any], dict[str, Any]]] = [
        (ContainerResolveImage(), {"image": reference}),
        (ContainerCreate(), {"name": "made", "image": reference}),
        (ContainerUpgrade(), {"container": "web", "image": reference}),
        (ComposePull(), {"directory": str(tmp_path)}),
    ]
    for step_type, params in asked:
        with pytest.raises(InfrastructureFailed, match=silent(proxy)):
            host.run(step_type, {**params, "stall_wait": "500ms"}, timeout=60)
    assert engine.names() == {"web"}
    assert engine.inspect("web")["Id"] == before
