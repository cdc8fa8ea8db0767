"""`container.upgrade` with `blue_green` where ports are published: rehearsed beside the old one, then handed over."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from pilotage_plugin_api import StepCancelled, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container.revert import ContainerRevert
from pilotage_plugins.container.upgrade import ContainerUpgrade

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP
from tests.integration.docker.test_upgrade import QUICK, body, kept

Start = Callable[..., dict[str, Any]]
PUBLISHED = ("-p", "8080:8080", "--restart", "always", "--label", "team=shop", "--hostname", "shop", "-e", "LEVEL=mine")


def wanted(image: str, **health: Any) -> dict[str, Any]:
    return {
        "container": "web", "image": image, "method": "blue_green", "scale_down_delay": "300ms", "stop_timeout": "1s",
        "health": {**QUICK, **health},
    }  # fmt: skip


def test_a_published_port_is_handed_over_after_a_rehearsal(host: Harness, engine: EngineSite, start: Start) -> None:
    engine.docker("network", "create", "front")
    before = start("web", *PUBLISHED, "--network", "front", "--network-alias", "shop", f"{APP}:1")
    assert (
        "rehearsed beside it without its ports" in host.preview(ContainerUpgrade(), wanted(f"{APP}:2")).changes[0].note
    )
    outputs = host.run(ContainerUpgrade(), wanted(f"{APP}:2"))
    assert body() == "version 2"
    assert kept(engine.inspect("web")) == kept(before)
    assert engine.names() == {"web", "web.pilotage-previous"}
    assert outputs["rehearsed"]
    assert outputs["downtime_s"] > 0
    host.undo(ContainerUpgrade(), wanted(f"{APP}:2"), outputs)
    assert body() == "version 1"
    assert engine.inspect("web")["Id"] == before["Id"]


@pytest.mark.parametrize(("image", "why"), [("dies", "exit code 3.*out of luck"), ("sick", "unhealthy")])
def test_a_failed_rehearsal_does_not_touch_the_old_one(
    host: Harness, engine: EngineSite, start: Start, image: str, why: str
) -> None:
    before = start("web", *PUBLISHED, f"{APP}:1")
    with pytest.raises(StepFailed, match=f"web was left alone and serves on: .*{why}"):
        host.run(ContainerUpgrade(), wanted(f"{APP}:{image}"))
    after = engine.inspect("web")
    assert after["State"]["StartedAt"] == before["State"]["StartedAt"]
    assert engine.names() == {"web"}


def test_what_fails_only_in_its_place_is_taken_back(host: Harness, engine: EngineSite, start: Start) -> None:
    before = start("web", *PUBLISHED, f"{APP}:1")
    # A rehearsal has no hostname that others could find it by.
    only_beside = ["/bin/sh", "-c", 'test "$(cat /proc/sys/kernel/hostname)" != shop']
    with pytest.raises(StepFailed, match=r"web was not upgraded.*The old version .* runs again"):
        host.run(ContainerUpgrade(), wanted(f"{APP}:2", command=only_beside, healthy_deadline="1s"))
    assert body() == "version 1"
    assert engine.inspect("web")["Id"] == before["Id"]
    assert engine.names() == {"web"}


def test_what_must_not_run_twice_or_would_ask_the_old_one_is_refused(
    host: Harness, engine: EngineSite, start: Start
) -> None:
    before = start("web", "-p", "8080:8080", "-v", "data:/data", f"{APP}:1")
    with pytest.raises(TargetFailed, match="web writes to /data"):
        host.run(ContainerUpgrade(), wanted(f"{APP}:2"))
    for check in ({"http": {"url": "http://127.0.0.1:8080/"}}, {"tcp": {"host": "127.0.0.1", "port": 8080}}):
        with pytest.raises(TargetFailed, match="would ask the old one"):
            host.run(ContainerUpgrade(), {**wanted(f"{APP}:2", **check), "share_mounts": True})
    assert engine.inspect("web")["State"]["StartedAt"] == before["State"]["StartedAt"]
    host.run(ContainerUpgrade(), {**wanted(f"{APP}:2", http={"port": 8080}), "share_mounts": True})
    assert body() == "version 2"


def test_cancelled_or_killed_in_a_rehearsal_nothing_stays(host: Harness, engine: EngineSite, start: Start) -> None:
    before = start("web", *PUBLISHED, f"{APP}:1")
    patient = wanted(f"{APP}:2", min_healthy_time="19s")
    with pytest.raises(StepCancelled):
        host.run(ContainerUpgrade(), patient, cancel_after=1.0)
    assert engine.names() == {"web"}
    pid = os.fork()
    if pid == 0:
        try:
            host.run(ContainerUpgrade(), patient)
        finally:
            os._exit(1)
    host.attempts += 1
    while "web.pilotage-rehearsal" not in engine.names():
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    host.run(ContainerRevert(), {"container": "web"})
    assert engine.names() == {"web"}
    assert engine.inspect("web")["State"]["StartedAt"] == before["State"]["StartedAt"]
