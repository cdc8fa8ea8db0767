"""`container.upgrade` on a real engine: everything goes over, and whatever goes wrong leaves the old one serving."""

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from pilotage_plugin_api import DeadlineExceeded, InfrastructureFailed, Refused, StepCancelled, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container.engine import Engine
from pilotage_plugins.container.revert import ContainerRevert
from pilotage_plugins.container.upgrade import ContainerUpgrade

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP, digest_of

Start = Callable[..., dict[str, Any]]
QUICK = {"min_healthy_time": "200ms", "healthy_deadline": "20s", "every": "50ms"}
RICH = (
    "--hostname", "shop", "-e", "MODE=prod", "-e", "SECRET=a=b c", "-e", "LEVEL=mine", "-v", "shared:/shared",
    "-v", "/anonymous", "--mount", "type=volume,dst=/nameless", "-v", "/etc:/host:ro", "--tmpfs", "/scratch:size=1m",
    "--network", "front", "--network-alias", "web", "--ip", "172.31.7.7", "-p", "127.0.0.1:8081:8080",
    "--label", "team=shop", "--restart", "on-failure:5", "-m", "64m", "--cpus", "0.5", "--pids-limit", "50",
    "--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD", "--security-opt", "no-new-privileges", "--read-only",
    "--user", "0:0", "--workdir", "/www", "--stop-signal", "SIGKILL", "--ulimit", "nofile=100:200",
    "--log-opt", "max-size=1m", "--health-cmd", "test ! -e /tmp/sick", "--health-interval", "150ms",
    "--add-host", "db.internal:10.0.0.9", "--dns", "10.0.0.53", "--sysctl", "net.ipv4.ip_unprivileged_port_start=0",
    "--shm-size", "8m", "--init",
)  # fmt: skip


def body(port: int = 8080) -> str:
    """Ask the server, again and again for as long as a program may need between its start and its first answer."""
    give_up = time.monotonic() + 5
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return str(answer.read().decode().strip())
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


def params(engine: EngineSite, image: str, **more: Any) -> dict[str, Any]:
    return {"container": "web", "image": image, "health": QUICK, "stop_timeout": "1s", **more}


def rich(engine: EngineSite, start: Start) -> dict[str, Any]:
    engine.docker("network", "create", "--subnet", "172.31.7.0/24", "front")
    engine.docker("network", "create", "back")
    start("web", *RICH, f"{APP}:1", "/bin/httpd", "-f", "-p", "8080", "-h", "/www")
    engine.docker("network", "connect", "--alias", "shop-web", "back", "web")
    return engine.inspect("web")


def kept(found: dict[str, Any]) -> dict[str, Any]:
    """What of an inspection a successor must share: everything but identity, image, state and our own labels."""
    config = {key: value for key, value in found["Config"].items() if key != "Image"}
    config["Labels"] = {
        key: value for key, value in config["Labels"].items() if not key.startswith("io.pilotage.") and key != "v"
    }
    host = {key: value for key, value in found["HostConfig"].items() if value and key not in ("Binds", "Mounts")}
    mounts = sorted(str(sorted(one.items())) for one in found["Mounts"] if one.pop("Mode", "") is not None)
    mounts = [one.replace("'Propagation': ''", "") for one in mounts]
    networks = {
        name: (endpoint["IPAMConfig"] or {}, sorted(set(endpoint["Aliases"] or ()) - {found["Id"][:12]}))
        for name, endpoint in found["NetworkSettings"]["Networks"].items()
    }
    ports = found["NetworkSettings"]["Ports"]
    return {"config": config, "host": host, "mounts": mounts, "networks": networks, "ports": ports}


def test_everything_goes_over(host: Harness, engine: EngineSite, start: Start) -> None:
    before = rich(engine, start)
    engine.docker("exec", "web", "/bin/sh", "-c", "echo kept > /anonymous/note; echo kept > /nameless/note")

    outputs = host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))

    after = engine.inspect("web")
    assert kept(after) == kept(before)
    assert after["Image"] != before["Image"]
    assert after["Id"] != before["Id"]
    assert body(8081) == "version 2"
    assert engine.docker("exec", "web", "/bin/cat", "/anonymous/note", "/nameless/note") == "kept\nkept"
    assert outputs["changed"]
    assert outputs["health"]["healthy"] is True
    assert outputs["health"]["checked_by"] == "docker"
    assert outputs["after"]["ref"] == f"{APP}@{digest_of(engine, f'{APP}:2')}" == after["Config"]["Image"]
    assert outputs["before"]["ref"] == f"{APP}@{digest_of(engine, f'{APP}:1')}"
    assert engine.names() == {"web", "web.pilotage-previous"}


def test_undo_puts_the_very_same_container_back(host: Harness, engine: EngineSite, start: Start) -> None:
    before = rich(engine, start)
    outputs = host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))
    for _ in range(2):
        host.undo(ContainerUpgrade(), params(engine, f"{APP}:2"), outputs)
        after = engine.inspect("web")
        assert after["Id"] == before["Id"]
        assert after["State"]["Running"]
        assert kept(after) == kept(before)
        assert body(8081) == "version 1"
        assert engine.names() == {"web"}


def test_defaults_come_from_the_new_image(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", "-e", "OWN=1", f"{APP}:1")
    host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))
    after = engine.inspect("web")["Config"]
    assert {"OWN=1", "LEVEL=two"} <= set(after["Env"])
    assert "LEVEL=one" not in after["Env"]
    assert after["Labels"]["v"] == "2"


@pytest.mark.parametrize(
    ("image", "why", "kind"),
    [
        (f"{APP}:dies", "exit code 3.*out of luck", StepFailed),
        (f"{APP}:sick", "unhealthy", StepFailed),
        (f"{APP}:arm", "linux/arm64", TargetFailed),
        (f"{APP}:missing", "no such image", Refused),
        ("127.0.0.1:5056/shop/app:1", "registry cannot be reached", InfrastructureFailed),
    ],
)
def test_a_bad_image_leaves_the_old_one_serving(
    host: Harness, engine: EngineSite, start: Start, image: str, why: str, kind: type[Exception]
) -> None:
    before = start("web", "-p", "8080:8080", "--restart", "always", f"{APP}:1")
    with pytest.raises(kind, match=why):
        host.run(ContainerUpgrade(), params(engine, image))
    after = engine.inspect("web")
    assert after["Id"] == before["Id"]
    assert kept(after) == kept(before)
    assert body() == "version 1"
    assert engine.names() == {"web"}


def test_a_container_that_nobody_checks_must_be_called_so(host: Harness, engine: EngineSite, start: Start) -> None:
    before = start("web", "bb:base", "/bin/sleep", "1000")
    with pytest.raises(TargetFailed, match=r"no health check.*none: true"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:2", health={**QUICK}) | {"image": "bb:other"})
    assert engine.inspect("web")["State"]["StartedAt"] == before["State"]["StartedAt"]
    outputs = host.run(ContainerUpgrade(), params(engine, "bb:other", health={**QUICK, "none": True}))
    assert outputs["health"]["healthy"] is None


def test_a_container_that_restarts_for_ever_is_taken_back(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", "--restart", "always", "bb:base")
    with pytest.raises(StepFailed, match="restarts again and again"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:dies", health={**QUICK, "min_healthy_time": "10s"}))
    assert engine.names() == {"web"}


@pytest.mark.parametrize("moment", [0.4, 0.7, 2.0])
def test_a_cancelled_upgrade_is_taken_back(host: Harness, engine: EngineSite, start: Start, moment: float) -> None:
    before = start("web", f"{APP}:1")
    patient = params(engine, f"{APP}:2", health={**QUICK, "min_healthy_time": "20s"})
    with pytest.raises(StepCancelled):
        host.run(ContainerUpgrade(), patient, cancel_after=moment)
    assert engine.names() == {"web"}
    after = engine.inspect("web")
    assert after["Id"] == before["Id"]
    assert after["State"]["Running"]


def test_an_upgrade_that_is_too_slow_is_taken_back(host: Harness, engine: EngineSite, start: Start) -> None:
    before = start("web", f"{APP}:1")
    patient = params(engine, f"{APP}:2", health={**QUICK, "min_healthy_time": "20s"})
    with pytest.raises(DeadlineExceeded):
        host.run(ContainerUpgrade(), patient, timeout=2.0)
    assert engine.names() == {"web"}
    assert engine.inspect("web")["Id"] == before["Id"]


CHANGES = ("create", "connect", "disconnect", "set_restart_policy", "rename", "stop", "start", "remove")
"""The requests by which an upgrade changes anything; it makes seven of them."""


def run_and_die(host: Harness, after: int, wanted: dict[str, Any], work: Callable[[], object] | None = None) -> None:
    """Run the upgrade, or other work, in a process that gets SIGKILL right after that many changes."""
    pid = os.fork()
    if pid == 0:
        try:
            left = [after]
            for name in CHANGES:
                setattr(Engine, name, _dying(getattr(Engine, name), left))
            work() if work else host.run(ContainerUpgrade(), wanted, key=KEY)
        finally:
            os._exit(1)
    host.attempts += 1
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)


def _dying(request: Any, left: list[int]) -> Any:
    async def counted(self: Engine, *args: Any, **more: Any) -> Any:
        answer = await request(self, *args, **more)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return counted


KEY = "exe_test/swap/host1//run/1"
SETTLED = 7


@pytest.mark.parametrize("after", range(1, SETTLED + 1))
def test_killed_anywhere_the_old_one_can_be_had_back(
    host: Harness, engine: EngineSite, start: Start, after: int
) -> None:
    before = start("web", "-p", "8080:8080", "--restart", "always", f"{APP}:1")
    wanted = params(engine, f"{APP}:2")
    run_and_die(host, after, wanted)

    for _ in range(2):
        host.recover(ContainerUpgrade(), wanted, "exe_test/another/host1//run/1")
        said = host.recover(ContainerUpgrade(), wanted, KEY)
    assert said == ""
    answer = host.probe(ContainerUpgrade(), wanted, KEY)
    assert answer["answer"] == ("done" if after == SETTLED else "not_done")
    if answer["answer"] == "done":
        host.undo(ContainerUpgrade(), wanted, answer["outputs"])

    found = engine.inspect("web")
    assert found["Id"] == before["Id"]
    assert kept(found) == kept(before)
    assert body() == "version 1"
    assert engine.names() == {"web"}


def test_killed_while_the_old_one_stops_it_is_started_only_after_that(
    host: Harness, engine: EngineSite, start: Start
) -> None:
    stubborn = "trap '' TERM; while true; do sleep 0.1; done"
    before = start("web", "--stop-signal", "SIGTERM", f"{APP}:1", "/bin/sh", "-c", stubborn)
    wanted = params(engine, f"{APP}:2", stop_timeout="2s")
    pid = os.fork()
    if pid == 0:
        try:
            stop = Engine.stop

            async def dying(self: Engine, name: str, seconds: int | None) -> None:
                asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGKILL)
                await stop(self, name, seconds)

            Engine.stop = dying  # type: ignore[method-assign]
            host.run(ContainerUpgrade(), wanted)
        finally:
            os._exit(1)
    host.attempts += 1
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert engine.inspect("web.pilotage-old")["State"]["Running"], "its stop should still be under way"
    host.run(ContainerRevert(), {"container": "web", "stop_timeout": "2s"})
    # Long enough for the first stop to have killed it, had it been believed to run.
    for _ in range(25):
        assert engine.inspect("web")["State"]["Running"]
        time.sleep(0.1)
    assert engine.inspect("web")["Id"] == before["Id"]


@pytest.mark.parametrize("after", [1, 4, 6])
def test_killed_in_the_middle_the_next_attempt_ends_it_or_leaves_the_old_one(
    host: Harness, engine: EngineSite, start: Start, after: int
) -> None:
    before = start("web", "-p", "8080:8080", f"{APP}:1")
    run_and_die(host, after, params(engine, f"{APP}:2"))
    with pytest.raises(StepFailed, match="unhealthy"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:sick"))
    assert engine.inspect("web")["Id"] == before["Id"]
    assert body() == "version 1"
    run_and_die(host, after, params(engine, f"{APP}:2"))
    host.run(ContainerUpgrade(), params(engine, f"{APP}:2", keep_previous=False))
    assert body() == "version 2"
    assert engine.names() == {"web"}


def test_killed_during_its_recovery_it_is_put_in_order_by_the_next(
    host: Harness, engine: EngineSite, start: Start
) -> None:
    before = start("web", "-p", "8080:8080", "--restart", "always", f"{APP}:1")
    wanted = params(engine, f"{APP}:2")
    for after in (1, 2, 3, 4):
        run_and_die(host, 6, wanted)
        run_and_die(host, after, wanted, lambda: host.recover(ContainerUpgrade(), wanted, KEY))
        host.recover(ContainerUpgrade(), wanted, KEY)
        assert engine.names() == {"web"}
        assert kept(engine.inspect("web")) == kept(before)
        assert body() == "version 1"


@pytest.mark.parametrize("broken", [ZeroDivisionError("a fault"), UnicodeError("label empty or too long")])
def test_whatever_goes_wrong_on_trial_the_old_one_comes_back(
    host: Harness, engine: EngineSite, start: Start, monkeypatch: pytest.MonkeyPatch, broken: Exception
) -> None:
    before = start("web", "-p", "8080:8080", f"{APP}:1")

    async def fails(*args: Any, **more: Any) -> None:
        raise broken

    monkeypatch.setattr("pilotage_plugins.container.upgrade.wait_until_healthy", fails)
    with pytest.raises(StepFailed, match=rf"{type(broken).__name__}.*runs again"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))
    assert engine.inspect("web")["Id"] == before["Id"]
    assert body() == "version 1"


@pytest.mark.parametrize("host_name", ["a..b", "", "a b", "x" * 300])
def test_a_check_of_what_is_no_host_is_refused(host: Harness, engine: EngineSite, start: Start, host_name: str) -> None:
    start("web", f"{APP}:1")
    with pytest.raises(Refused, match="host"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:2", health={"tcp": {"port": 1, "host": host_name}}))


def test_a_second_upgrade_keeps_only_the_version_before(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", "-p", "8080:8080", "bb:base")
    checked = {**QUICK, "http": {"url": "http://127.0.0.1:8080/"}}
    host.run(ContainerUpgrade(), params(engine, f"{APP}:1", health=checked))
    outputs = host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))
    assert engine.names() == {"web", "web.pilotage-previous"}
    host.undo(ContainerUpgrade(), params(engine, f"{APP}:2"), outputs)
    assert body() == "version 1"
    same = host.run(ContainerUpgrade(), params(engine, f"{APP}:1"))
    assert same["changed"] is False


def test_an_upgrade_in_progress_is_not_taken_back_by_another(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", f"{APP}:1")
    pid = os.fork()
    if pid == 0:
        try:
            host.run(ContainerUpgrade(), params(engine, f"{APP}:2", health={**QUICK, "min_healthy_time": "19s"}))
        finally:
            os._exit(1)
    host.attempts += 1
    try:
        while "web.pilotage-old" not in engine.names():
            time.sleep(0.02)
        for step, wanted in (
            (ContainerUpgrade(), params(engine, f"{APP}:2")),
            (ContainerRevert(), {"container": "web"}),
        ):
            with pytest.raises(TargetFailed, match="another step is upgrading web"):
                host.run(step, wanted)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert host.run(ContainerRevert(), {"container": "web"})["changed"] is True
    assert engine.names() == {"web"}


def test_a_name_that_somebody_took_meanwhile_is_left_alone(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", f"{APP}:1")
    outputs = host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))
    engine.docker("rename", "web", "elsewhere")
    start("web", "bb:base")
    with pytest.raises(TargetFailed, match="belongs to another container"):
        host.undo(ContainerUpgrade(), params(engine, f"{APP}:2"), outputs)
    assert engine.inspect("elsewhere")["State"]["Running"]


def test_what_could_not_be_put_back_is_refused(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", "--rm", f"{APP}:1")
    with pytest.raises(TargetFailed, match="--rm"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))
    start("frozen", f"{APP}:1")
    engine.docker("pause", "frozen")
    with pytest.raises(TargetFailed, match="paused"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:2", container="frozen"))
    start("lent", f"{APP}:1")
    start("guest", "--network", "container:lent", "bb:base", "/bin/sleep", "100")
    with pytest.raises(TargetFailed, match="guest use the network"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:2", container="lent"))


def test_a_stopped_container_is_upgraded_and_started_or_left_stopped(
    host: Harness, engine: EngineSite, start: Start
) -> None:
    before = start("web", f"{APP}:1")
    engine.docker("stop", "web")
    with pytest.raises(StepFailed, match="is back, stopped as before"):
        host.run(ContainerUpgrade(), params(engine, f"{APP}:dies"))
    assert engine.inspect("web")["Id"] == before["Id"]
    assert engine.inspect("web")["State"]["Status"] == "exited"
    host.run(ContainerUpgrade(), params(engine, f"{APP}:2"))
    assert engine.inspect("web")["State"]["Running"]


def test_preview_warns_of_what_will_not_come_back(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", "--label", "com.docker.compose.project=shop", f"{APP}:1")
    wanted = params(engine, f"{APP}:2", keep_previous=False)
    note = host.preview(ContainerUpgrade(), wanted).note
    assert "there is no way back" in note
    assert "compose project shop" in note
    assert "way back" not in host.preview(ContainerUpgrade(), params(engine, f"{APP}:2")).note


def test_preview_says_which_image_gives_way(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", f"{APP}:1")
    preview = host.preview(ContainerUpgrade(), params(engine, f"{APP}:2"))
    assert preview.changes[0].action == "update"
    assert f"{APP}:1" in str(preview.changes[0].before)
    assert host.preview(ContainerUpgrade(), params(engine, f"{APP}:1")).changes[0].action == "none"
