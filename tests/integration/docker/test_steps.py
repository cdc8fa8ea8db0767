"""What each step type does on a real engine, and how it fails."""

from collections.abc import Callable
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.container.creation import ContainerCreate
from pilotage_plugins.container.execution import ContainerExec
from pilotage_plugins.container.image import ContainerPull, ContainerResolveImage
from pilotage_plugins.container.inspection import ContainerHealth, ContainerInspect, ContainerList, ContainerLogs
from pilotage_plugins.container.lifecycle import ContainerRemove, ContainerStart
from pilotage_plugins.container.network import NetworkCreate, VolumeRemove
from pilotage_plugins.container.snapshot import ContainerSnapshot

from tests.integration.docker.engine_site import REGISTRY, EngineSite
from tests.integration.docker.images import APP, digest_of

Start = Callable[..., dict[str, Any]]
QUICK = {"min_healthy_time": "100ms", "healthy_deadline": "10s", "every": "50ms"}


def test_create_makes_what_was_described(host: Harness, engine: EngineSite) -> None:
    engine.docker("network", "create", "front")
    engine.docker("network", "create", "back")
    params = {
        "name": "made", "image": f"{APP}:1", "env": {"A": "b=c"}, "ports": ["127.0.0.1:8085:8080"],
        "mounts": ["data:/data", "/etc:/host:ro"], "networks": {"front": ["web"], "back": ["shop"]},
        "labels": {"team": "shop"}, "restart": "unless-stopped", "memory": "32MiB", "cpus": 0.5, "user": "0",
        "cap_drop": ["MKNOD"], "read_only": True, "hostname": "made-here",
        "health": {"command": ["/bin/true"], "interval": "100ms", "retries": 2},
        "command": ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"],
    }  # fmt: skip
    outputs = host.run(ContainerCreate(), params)
    found = engine.inspect("made")
    assert found["Id"] == outputs["id"]
    assert found["State"]["Running"]
    assert {"A=b=c", "LEVEL=one"} <= set(found["Config"]["Env"])
    assert found["Config"]["Image"] == f"{APP}@{digest_of(engine, f'{APP}:1')}"
    check = {"Test": ["CMD", "/bin/true"], "Interval": 100_000_000, "Retries": 2}
    assert found["Config"]["Healthcheck"] == {**check, "Timeout": 2_000_000_000}, "the image's timeout is the default"
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert (found["HostConfig"]["Memory"], found["HostConfig"]["NanoCpus"]) == (32 * 1024 * 1024, 500_000_000)
    assert {one["Destination"]: one["RW"] for one in found["Mounts"]} == {"/data": True, "/host": False}
    networks = found["NetworkSettings"]["Networks"]
    assert "web" in networks["front"]["Aliases"]
    assert "shop" in networks["back"]["Aliases"]
    assert found["NetworkSettings"]["Ports"]["8080/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8085"}]


def test_create_leaves_a_taken_name_alone(host: Harness, engine: EngineSite, start: Start) -> None:
    before = start("made", "bb:base")
    with pytest.raises(TargetFailed, match=r"already.*container\.upgrade"):
        host.run(ContainerCreate(), {"name": "made", "image": f"{APP}:1"})
    assert engine.inspect("made")["Id"] == before["Id"]


@pytest.mark.parametrize(
    ("params", "kind", "why"),
    [
        ({"ports": ["8086:1"]}, TargetFailed, "port is taken"),
        ({"networks": {"nowhere": []}}, TargetFailed, "not there"),
        ({"command": ["/no/such/program"]}, Refused, "does not hold the program"),
    ],
)
def test_a_container_that_cannot_start_is_not_left_behind(
    host: Harness, engine: EngineSite, start: Start, params: dict[str, Any], kind: type[Exception], why: str
) -> None:
    start("other", "-p", "8086:8080", "bb:base")
    with pytest.raises(kind, match=why):
        host.run(ContainerCreate(), {"name": "made", "image": f"{APP}:1", **params})
    assert engine.names() == {"other"}


def test_an_interrupted_creation_is_made_anew_by_the_same_step_run_only(host: Harness, engine: EngineSite) -> None:
    key = "exe_test/make/host1//run/1"
    params = {"name": "made", "image": f"{APP}:1"}
    engine.docker(
        "create", "--name", "made", "--label", f"io.pilotage.attempt={key}",
        "--label", "io.pilotage.step_run=exe_test/make/host1//run", f"{APP}:1",
    )  # fmt: skip
    assert host.probe(ContainerCreate(), params, key)["answer"] == "not_done"
    with pytest.raises(TargetFailed, match="already"):
        host.run(ContainerCreate(), params, key="exe_other/make/host1//run/1")
    host.run(ContainerCreate(), params, key="exe_test/make/host1//run/2")
    assert engine.inspect("made")["State"]["Running"]


def test_what_is_seen_of_a_container_has_no_secrets(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", "-e", "TOKEN=canary-7788", "-p", "8087:8080", "--label", "team=shop", f"{APP}:1")
    outputs = host.run(ContainerInspect(), {"container": "web"})
    assert outputs["running"] is True
    assert outputs["status"] == "running"
    assert "TOKEN" in outputs["environment"]
    assert {"port": "8080/tcp", "host_ip": "0.0.0.0", "host_port": 8087} in outputs["ports"]
    assert outputs["addresses"]["bridge"].startswith("172.")
    snapshot = host.run(ContainerSnapshot(), {"container": "web"})
    assert "canary-7788" not in host.seen([outputs, snapshot])
    kept = engine.ask("GET", f"/images/{snapshot['ref']}/json")["Config"]["Labels"]["io.pilotage.configuration"]
    assert "canary-7788" in kept


def test_what_is_not_there_is_said(host: Harness) -> None:
    for step in (ContainerInspect(), ContainerStart(), ContainerLogs()):
        with pytest.raises(TargetFailed, match=r"ghost.*not there"):
            host.run(step, {"container": "ghost"})


def test_lists_are_by_name_and_label(host: Harness, engine: EngineSite, start: Start) -> None:
    start("bb", "--label", "role=db", "bb:base")
    start("aa", "--label", "role=db", "bb:base")
    start("cc", "bb:base")
    engine.docker("stop", "aa")
    listed = host.run(ContainerList(), {"labels": ["role=db"]})["containers"]
    assert [one["name"] for one in listed] == ["bb"]
    listed = host.run(ContainerList(), {"labels": ["role=db"], "all": True})["containers"]
    assert [(one["name"], one["status"]) for one in listed] == [("aa", "exited"), ("bb", "running")]
    with pytest.raises(StepFailed, match="max_items"):
        host.run(ContainerList(), {"max_items": 1})


def test_programs_run_with_their_environment_and_fail_with_their_words(host: Harness, start: Start) -> None:
    start("web", "bb:base")
    argv = ["/bin/sh", "-c", "echo out $A; echo err >&2; id -u; exit 3"]
    outputs = host.run(ContainerExec(), {"container": "web", "argv": argv, "env": {"A": "b c"}, "expect": [3]})
    assert (outputs["exit_code"], outputs["stdout"], outputs["stderr"]) == (3, "out b c\n0\n", "err\n")
    assert "out b c" in host.recorder.text
    with pytest.raises(StepFailed, match=r"exit code 3.*err"):
        host.run(ContainerExec(), {"container": "web", "argv": argv})
    with pytest.raises((Refused, StepFailed), match=r"nothing-here"):
        host.run(ContainerExec(), {"container": "web", "argv": ["/nothing-here"]})


def test_output_is_bounded(host: Harness, start: Start) -> None:
    start("web", "bb:base", "/bin/sh", "-c", "dd if=/dev/zero bs=1000 count=300 2>/dev/null; echo end; sleep 100")
    argv = ["/bin/dd", "if=/dev/zero", "bs=1000", "count=300"]
    assert len(host.run(ContainerExec(), {"container": "web", "argv": argv})["stdout"]) <= 12 * 1024
    host.run(ContainerHealth(), {"container": "web", "command": ["/bin/true"], **QUICK})
    logs = host.run(ContainerLogs(), {"container": "web", "lines": 2000})
    assert len(logs["text"]) <= 48 * 1024
    assert logs["cut"] is True
    assert logs["text"].endswith("end\n")


@pytest.mark.parametrize(
    "check",
    [
        {"http": {"port": 8080}},
        {"http": {"url": "http://127.0.0.1:8088/"}},
        {"tcp": {"port": 8080}},
        {"command": ["/bin/true"]},
        {"docker": True},
        {},
    ],
)
def test_each_kind_of_check_finds_a_healthy_container(host: Harness, start: Start, check: dict[str, Any]) -> None:
    start("web", "-p", "8088:8080", f"{APP}:1")
    assert host.run(ContainerHealth(), {"container": "web", **check, **QUICK})["healthy"] is True


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ({"http": {"port": 8080, "path": "/missing"}}, "answered 404"),
        ({"tcp": {"port": 9}}, "cannot connect"),
        ({"command": ["/bin/false"]}, "ended with 1"),
    ],
)
def test_each_kind_of_check_finds_a_sick_one(host: Harness, start: Start, check: dict[str, Any], why: str) -> None:
    start("web", f"{APP}:1")
    quick = {**QUICK, "healthy_deadline": "300ms"}
    with pytest.raises(StepFailed, match=why):
        host.run(ContainerHealth(), {"container": "web", **check, **quick})


def test_nobody_checks_is_never_called_healthy(host: Harness, start: Start) -> None:
    start("web", "bb:base")
    with pytest.raises(TargetFailed, match="no health check"):
        host.run(ContainerHealth(), {"container": "web", **QUICK})
    outputs = host.run(ContainerHealth(), {"container": "web", "none": True, **QUICK})
    assert (outputs["healthy"], outputs["checked_by"]) == (None, "none")


def test_a_container_that_ran_out_of_memory_says_so(host: Harness, start: Start) -> None:
    start("web", "-m", "8m", "bb:base", "/bin/sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 0")
    with pytest.raises(StepFailed, match="does not run: exit code"):
        host.run(ContainerHealth(), {"container": "web", "none": True, **QUICK, "min_healthy_time": "5s"})


def test_images_come_by_tag_and_by_digest(host: Harness, engine: EngineSite) -> None:
    digest = digest_of(engine, f"{APP}:1")
    resolved = host.run(ContainerResolveImage(), {"image": f"{APP}:1"})
    assert resolved["ref"] == f"{APP}@{digest}"
    outputs = host.run(ContainerPull(), {"image": resolved["ref"]})
    assert (outputs["ref"], outputs["digest"], outputs["pulled"]) == (f"{APP}@{digest}", digest, False)
    assert host.run(ContainerPull(), {"image": f"{APP}:1"})["pulled"] is True


@pytest.mark.parametrize(
    ("image", "kind", "why"),
    [
        (f"{APP}:none", Refused, "no such image"),
        (f"{APP}@sha256:{'0' * 64}", Refused, "no such image"),
        (f"{REGISTRY}/nobody:1", Refused, "no such image"),
        ("127.0.0.1:5999/app:1", InfrastructureFailed, "registry cannot be reached"),
    ],
)
def test_an_image_that_cannot_be_had_says_why(host: Harness, image: str, kind: type[Exception], why: str) -> None:
    for step in (ContainerPull(), ContainerResolveImage()):
        with pytest.raises(kind, match=why):
            host.run(step, {"image": image})


def test_what_is_in_use_is_not_removed(host: Harness, engine: EngineSite, start: Start) -> None:
    start("web", "-v", "data:/data", "bb:base")
    with pytest.raises(StepFailed, match="running container"):
        host.run(ContainerRemove(), {"container": "web"})
    with pytest.raises(StepFailed, match="in use"):
        host.run(VolumeRemove(), {"name": "data"})
    engine.docker("network", "create", "front")
    with pytest.raises(TargetFailed, match="already"):
        host.run(NetworkCreate(), {"name": "front", "subnet": "172.31.10.0/24"})
