"""`container.upgrade` by blue_green on a real engine: under load, killed anywhere, with a bad version."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pilotage_plugin_api import StepCancelled, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container import upgrade
from pilotage_plugins.container.revert import ContainerRevert
from pilotage_plugins.container.upgrade import ContainerUpgrade

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP
from tests.integration.docker.load import load
from tests.integration.docker.test_upgrade import KEY, kept, run_and_die

Start = Callable[..., dict[str, Any]]
QUICK = {"min_healthy_time": "200ms", "healthy_deadline": "20s", "every": "50ms"}
SLOW = "/cgi-bin/slow"
"""Takes 100 ms, so that there are always requests under way."""


BEHIND_SHOP = ("--network", "front", "--network-alias", "shop")


def params(image: str, **more: Any) -> dict[str, Any]:
    return {
        "container": "web", "image": image, "method": "blue_green", "health": QUICK, "scale_down_delay": "3s",
        "stop_timeout": "1s", **more,
    }  # fmt: skip


@pytest.fixture
def web(engine: EngineSite, start: Start) -> dict[str, Any]:
    """A web server in a network with a subnet, by its name and an alias, and a container to ask it from."""
    engine.docker("network", "create", "--subnet", "172.31.7.0/24", "front")
    start("client", "--network", "front", "bb:base", "/bin/sleep", "1000")
    return start("web", *BEHIND_SHOP, "-e", "LEVEL=mine", "--restart", "always", f"{APP}:1")


def same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return before["Id"] == after["Id"] and kept(before) == kept(after) and bool(after["State"]["Running"])


def anonymous(found: dict[str, Any]) -> dict[str, Any]:
    """What a successor must share; the hostname was made up by the engine."""
    shared = kept(found)
    shared["config"].pop("Hostname")
    return shared


@pytest.mark.parametrize("name", ["shop", "web"])
def test_no_request_is_lost_there_and_back(host: Harness, engine: EngineSite, web: dict[str, Any], name: str) -> None:
    with load(engine, "client", name, path=SLOW, clients=8) as clients:
        outputs = host.run(ContainerUpgrade(), params(f"{APP}:2"))
        host.undo(ContainerUpgrade(), params(f"{APP}:2"), outputs)
    assert clients.lost == []
    assert {"version 1", "version 2"} == set(clients.answers)
    assert outputs["downtime_s"] == 0
    assert outputs["cut"] == []
    assert engine.names() == {"client", "web"}
    assert same(web, engine.inspect("web"))


def test_afterwards_only_the_new_one_runs_and_has_everything(
    host: Harness, engine: EngineSite, web: dict[str, Any]
) -> None:
    outputs = host.run(ContainerUpgrade(), params(f"{APP}:2"))
    before, after = anonymous(web), anonymous(engine.inspect("web"))
    assert after.pop("networks") == {"front": ({}, ["shop", "web"])}
    assert before.pop("networks") == {"front": ({}, ["shop"])}
    assert after == before
    assert outputs["health"]["healthy"] is True
    old = engine.inspect("web.pilotage-previous")
    assert not old["State"]["Running"]
    assert old["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert kept(old)["networks"] == {"front": ({}, [])}


@pytest.mark.parametrize(("image", "why"), [(f"{APP}:sick", "unhealthy"), (f"{APP}:dies", "exit code 3")])
def test_a_bad_version_gets_no_request(
    host: Harness, engine: EngineSite, web: dict[str, Any], image: str, why: str
) -> None:
    with load(engine, "client", "shop", path=SLOW) as clients, pytest.raises(StepFailed, match=why):
        host.run(ContainerUpgrade(), params(image))
    assert clients.lost == []
    assert set(clients.answers) == {"version 1"}
    assert engine.names() == {"client", "web"}
    after = engine.inspect("web")
    assert same(web, after)
    assert after["State"]["StartedAt"] == web["State"]["StartedAt"]


def test_one_that_falls_ill_after_the_switch_hands_back(host: Harness, engine: EngineSite, web: dict[str, Any]) -> None:
    ill = {**QUICK, "healthy_deadline": "1s", "command": ["/bin/test", "!", "-e", "/ill"]}

    def fall_ill() -> None:
        while "web.pilotage-old" not in engine.names():
            time.sleep(0.02)
        time.sleep(0.5)
        engine.docker("exec", "web", "/bin/touch", "/ill")

    with load(engine, "client", "shop", path=SLOW) as clients, ThreadPoolExecutor() as beside:
        falling = beside.submit(fall_ill)
        with pytest.raises(StepFailed, match=r"was not healthy.*The old version .* runs again"):
            host.run(ContainerUpgrade(), params(f"{APP}:2", scale_down_delay="5s", health=ill))
        falling.result()
    assert clients.lost == []
    assert set(clients.answers) == {"version 1", "version 2"}
    assert same(web, engine.inspect("web"))


@pytest.mark.parametrize("moment", [0.5, 2.5])
def test_cancelled_it_hands_back(host: Harness, engine: EngineSite, web: dict[str, Any], moment: float) -> None:
    with load(engine, "client", "web", path=SLOW) as clients, pytest.raises(StepCancelled):
        host.run(ContainerUpgrade(), params(f"{APP}:2", scale_down_delay="30s"), cancel_after=moment)
    assert clients.lost == []
    assert engine.names() == {"client", "web"}
    assert same(web, engine.inspect("web"))


SETTLED = 14
"""create, start, disconnect, connect, set_restart_policy, rename, disconnect, connect, rename, rename, stop,
disconnect, connect, rename: the changes that it makes."""


@pytest.mark.parametrize("after", range(1, SETTLED + 1))
def test_killed_anywhere_it_is_probed_and_the_old_one_can_be_had_back(
    host: Harness, engine: EngineSite, web: dict[str, Any], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "BACK_DRAIN_SECONDS", 0.0)
    wanted = params(f"{APP}:2", scale_down_delay="0s")
    run_and_die(host, after, wanted)
    answer = host.probe(ContainerUpgrade(), wanted, KEY)
    assert answer["answer"] == ("done" if after == SETTLED else "not_done")
    if after == SETTLED:
        host.undo(ContainerUpgrade(), wanted, answer["outputs"])
    else:
        host.run(ContainerRevert(), {"container": "web", "stop_timeout": "1s"})
    assert same(web, engine.inspect("web"))
    assert engine.names() == {"client", "web"}


@pytest.mark.parametrize("after", [4, 9, 11])
def test_killed_under_load_the_way_back_loses_nothing(
    host: Harness, engine: EngineSite, web: dict[str, Any], after: int
) -> None:
    with load(engine, "client", "shop", path=SLOW) as clients:
        run_and_die(host, after, params(f"{APP}:2"))
        host.run(ContainerRevert(), {"container": "web", "stop_timeout": "1s"})
    assert same(web, engine.inspect("web"))
    assert clients.lost == []


@pytest.mark.parametrize("after", [8])
def test_killed_in_the_middle_the_next_attempt_ends_it(
    host: Harness, engine: EngineSite, web: dict[str, Any], after: int
) -> None:
    with load(engine, "client", "shop") as clients:
        run_and_die(host, after, params(f"{APP}:2"))
        host.run(ContainerUpgrade(), params(f"{APP}:2", keep_previous=False))
    assert clients.lost == []
    assert engine.names() == {"client", "web"}
    assert engine.inspect("web")["Config"]["Labels"]["v"] == "2"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ([], "no user-defined network"),
        (["--network", "host"], "no user-defined network"),
        (["--network", "front", "--hostname", "shop"], "has the hostname shop"),
        (["--network", "front", "--ip", "172.31.7.9"], "fixed address in front"),
        (["--network", "front", "-v", "data:/data"], "writes to /data"),
    ],
)
def test_what_cannot_be_switched_is_refused_untouched(
    host: Harness, engine: EngineSite, start: Start, argv: list[str], why: str
) -> None:
    engine.docker("network", "create", "--subnet", "172.31.7.0/24", "front")
    start("web", *argv, f"{APP}:1")
    before = engine.picture()
    with pytest.raises(TargetFailed, match=why):
        host.run(ContainerUpgrade(), params(f"{APP}:2"))
    assert engine.picture() == before


def test_what_both_write_to_may_be_shared_by_word(host: Harness, engine: EngineSite, start: Start) -> None:
    engine.docker("network", "create", "front")
    start("web", "--network", "front", "-v", "data:/data", f"{APP}:1")
    assert host.run(ContainerUpgrade(), params(f"{APP}:2", share_mounts=True))["changed"] is True


def test_one_of_two_replicas_leaves_the_alias_before_it_stops(
    host: Harness, engine: EngineSite, web: dict[str, Any], start: Start
) -> None:
    start("web2", *BEHIND_SHOP, f"{APP}:1")
    rolling = {"container": "web", "health": QUICK, "stop_timeout": "1s", "drain": "3s"}
    with load(engine, "client", "shop", path=SLOW, clients=8) as clients:
        outputs = host.run(ContainerUpgrade(), {**rolling, "image": f"{APP}:2"})
        second = host.run(ContainerUpgrade(), {**rolling, "container": "web2", "image": f"{APP}:2"})
        assert anonymous(engine.inspect("web")) == anonymous(web)
        host.undo(ContainerUpgrade(), {**rolling, "container": "web2", "image": f"{APP}:2"}, second)
        with pytest.raises(StepFailed, match="unhealthy"):
            host.run(ContainerUpgrade(), {**rolling, "image": f"{APP}:sick"})
        host.undo(ContainerUpgrade(), {**rolling, "image": f"{APP}:2"}, outputs)
    assert clients.lost == []
    assert set(clients.answers) == {"version 1", "version 2"}
    assert same(web, engine.inspect("web"))
    assert engine.names() == {"client", "web", "web2"}


def test_in_a_network_without_a_subnet_the_loss_is_told(host: Harness, engine: EngineSite, start: Start) -> None:
    engine.docker("network", "create", "front")
    start("client", "--network", "front", "bb:base", "/bin/sleep", "1000")
    start("web", "--network", "front", "--network-alias", "shop", f"{APP}:1")
    with load(engine, "client", "shop", path=SLOW, clients=8) as clients:
        outputs = host.run(ContainerUpgrade(), params(f"{APP}:2"))
    assert not clients.lost or outputs["cut"] == ["front"]
