"""Compose projects on a real engine: brought up and proven healthy, or what was there before is back."""

import itertools
import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import Refused, StepCancelled, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugin_api.testing.processes import processes_marked
from pilotage_plugins.compose.down import ComposeDown
from pilotage_plugins.compose.listing import ComposeConfig, ComposeList
from pilotage_plugins.compose.pull import ComposePull
from pilotage_plugins.compose.up import ComposeUp

from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.images import APP, digest_of

pytestmark = pytest.mark.usefixtures("compose")

FAST = {"min_healthy_time": "0s", "healthy_deadline": "20s", "every": "50ms"}
SHOP = """
services:
  web:
    image: ${APP}
    environment: {TOKEN: "${TOKEN-none}", LEVEL: "${LEVEL-one}"}
    ports: ["127.0.0.1:8085:8080"]
    stop_signal: SIGKILL
    volumes: ["data:/data", /anonymous]
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate:
    image: bb:base
    command: ["true"]
  queue:
    image: bb:base
    command: [/bin/sleep, "1000"]
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, /bin/true], interval: 100ms}
volumes: {data: {}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(SHOP)
    return folder


def params(shop: Path, version: str = "1", **more: Any) -> dict[str, Any]:
    env = {"APP": f"{APP}:{version}", **more.pop("env", {})}
    return {"directory": str(shop), "env": env, "stop_timeout": "1s", **FAST, **more}


_numbers = itertools.count(1)


def up(host: Harness, wanted: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Run compose.up as a step of its own, which no other's notes are for."""
    key = f"exe_test/up{next(_numbers)}/host1//run/1"
    return host.run(ComposeUp(), wanted, **{"key": key, **more})


def down(host: Harness, wanted: dict[str, Any]) -> dict[str, Any]:
    """Run compose.down as a step of its own."""
    return host.run(ComposeDown(), {**wanted, "stop_timeout": "1s"}, key=f"exe_test/down{next(_numbers)}/host1//run/1")


def body() -> str:
    give_up = time.monotonic() + 5
    while True:
        try:
            with urllib.request.urlopen("http://127.0.0.1:8085/", timeout=5) as answer:
                return str(answer.read().decode().strip())
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


def test_a_project_comes_up_and_a_second_time_nothing_happens(host: Harness, engine: EngineSite, shop: Path) -> None:
    preview = host.preview(ComposeUp(), params(shop))
    assert {change.subject: change.action for change in preview.changes} == {
        "network shop_default": "create",
        "volume shop_data": "create",
        "shop/migrate": "create",
        "shop/queue": "create",
        "shop/web": "create",
    }
    assert engine.names() == set()

    outputs = up(host, params(shop))
    assert body() == "version 1"
    assert engine.names() == {"shop-web-1", "shop-migrate-1", "shop-queue-1"}
    assert outputs["changed"]
    assert {each["service"]: each["changed"] for each in outputs["services"]} == dict.fromkeys(
        ("migrate", "queue", "web"), True
    )
    web = engine.inspect("shop-web-1")
    assert outputs["services"][2]["image_id"] == web["Image"]

    preview = host.preview(ComposeUp(), params(shop))
    assert {change.subject: change.action for change in preview.changes} == {
        "shop/migrate": "run",
        "shop/queue": "none",
        "shop/web": "none",
    }
    again = up(host, params(shop))
    assert not again["changed"]
    assert engine.inspect("shop-web-1")["State"]["StartedAt"] == web["State"]["StartedAt"]


def test_undo_brings_back_configuration_and_image(host: Harness, engine: EngineSite, shop: Path) -> None:
    first = up(host, params(shop))
    queue = engine.inspect("shop-queue-1")["Id"]
    engine.docker("exec", "shop-web-1", "/bin/sh", "-c", "echo kept > /anonymous/note; echo kept > /data/note")
    extra = "  extra: {image: bb:base, networks: [back], stop_signal: SIGKILL}\n  queue:"
    changed = SHOP.replace("/bin/true]", "/bin/true, x]").replace("  queue:", extra) + "networks: {back: {}}\n"
    (shop / "compose.yaml").write_text(changed)
    wanted = params(shop, "2", env={"LEVEL": "two"}, health={"extra": {"none": True}})
    preview = {change.subject: (change.action, change.note) for change in host.preview(ComposeUp(), wanted).changes}
    assert preview["shop/web"] == ("update", "recreated: its configuration changed, its image changed")
    assert preview["shop/queue"][0] == "update"
    assert preview["shop/extra"][0] == "create"
    assert preview["network shop_back"][0] == "create"

    outputs = up(host, wanted)
    assert body() == "version 2"
    assert "LEVEL=two" in engine.inspect("shop-web-1")["Config"]["Env"]
    assert engine.inspect("shop-queue-1")["Id"] != queue

    for _ in range(2):
        host.undo(ComposeUp(), wanted, outputs)
        assert body() == "version 1"
        web = engine.inspect("shop-web-1")
        assert "LEVEL=one" in web["Config"]["Env"]
        assert web["Image"] == first["services"][2]["image_id"]
        assert engine.names() == {"shop-web-1", "shop-migrate-1", "shop-queue-1"}
        assert engine.docker("exec", "shop-web-1", "/bin/cat", "/anonymous/note", "/data/note") == "kept\nkept"
    host.undo(ComposeUp(), params(shop), first)
    assert engine.names() == set()
    assert {one["Name"] for one in engine.ask("GET", "/networks")} == {"bridge", "host", "none"}
    assert "shop_data" not in {one["Name"] for one in engine.ask("GET", "/volumes")["Volumes"]}


def test_what_is_not_well_is_named_and_taken_back(
    host: Harness, engine: EngineSite, shop: Path, start: Callable[..., Any]
) -> None:
    up(host, params(shop))
    start("other", "-p", "127.0.0.1:8084:8080", f"{APP}:1")
    for version, old, new, why in (
        ("dies", "", "", r"the service web is not well: shop-web-1 does not run: exit code 3.*out of luck"),
        ("sick", "", "", r"the service web is not well.*unhealthy"),
        ("1", 'command: ["true"]', 'command: ["false"]', r"migrate: shop-migrate-1 does not run: exit code 1"),
        ("1", "8085:8080", "8084:8080", r"a port is taken"),
        ("1", '[/bin/sleep, "1000"]', '["false"]\n    restart: always', r"the service queue.*restarts again and again"),
    ):
        (shop / "compose.yaml").write_text(SHOP.replace(old, new))
        with pytest.raises((StepFailed, TargetFailed), match=why) as failed:
            up(host, params(shop, version))
        assert "what was there before is back" in str(failed.value)
        assert body() == "version 1"
    assert engine.inspect("shop-queue-1")["State"]["Running"]


def test_a_first_time_that_fails_leaves_nothing(host: Harness, engine: EngineSite, shop: Path) -> None:
    before = engine.picture()
    with pytest.raises(StepFailed, match=r"unhealthy.*what this had made was taken down"):
        up(host, params(shop, "sick"))
    assert engine.picture() == before
    with pytest.raises(StepFailed, match=r"unhealthy.*left as it is"):
        up(host, params(shop, "sick", revert=False))
    assert "shop-web-1" in engine.names()


def test_what_cannot_work_changes_nothing(host: Harness, engine: EngineSite, shop: Path) -> None:
    before = engine.picture()
    for wanted, kind, why in (
        (params(shop, "missing"), Refused, "no such image"),
        (params(shop, "arm"), TargetFailed, "linux/arm64"),
        (params(shop, health={"wbe": {"none": True}}), Refused, "no service wbe; it has migrate, queue, web"),
        (params(shop, files=["nope.yaml"]), TargetFailed, "there is no file"),
        (params(shop / "nowhere"), TargetFailed, "there is no folder"),
        ({**params(shop), "text": "services: {web: {imag: x}}"}, Refused, "imag"),
        (
            {**params(shop), "text": "services: {web: {image: 'bb:base'}}"},
            TargetFailed,
            "web of shop has no health check",
        ),
        ({**params(shop), "text": "services: {web: {build: .}}"}, Refused, "shop-web of web is to be built"),
        (params(shop, env={"COMPOSE_FILE": "/etc/x"}), Refused, "COMPOSE_FILE steers the programs"),
    ):
        with pytest.raises(kind, match=why):
            up(host, wanted)
        assert engine.picture() == before


def test_secrets_go_in_and_are_seen_nowhere(host: Harness, engine: EngineSite, shop: Path, tmp_path: Path) -> None:
    host.secrets.contents["token"] = b"canary $8812 'x"
    wanted = params(shop, env={"TOKEN": "secret://token"})
    config = host.run(ComposeConfig(), {"directory": str(shop), "env": wanted["env"]})
    host.preview(ComposeUp(), wanted)
    up(host, wanted)
    assert "TOKEN=canary $8812 'x" in engine.inspect("shop-web-1")["Config"]["Env"]
    host.secrets.contents["token"] = b"canary $8812 new"
    outputs = up(host, {**wanted, "env": {**wanted["env"], "LEVEL": "two"}})
    host.secrets.contents["token"] = b"canary $8812 'x"
    host.undo(ComposeUp(), wanted, outputs)
    env = engine.inspect("shop-web-1")["Config"]["Env"]
    assert {"TOKEN=canary $8812 'x", "LEVEL=one"} <= set(env)
    assert "8812" not in host.seen((config, outputs))
    assert not [path for path in (tmp_path / "notes").rglob("*.json") if b"8812" in path.read_bytes()]
    with pytest.raises(TargetFailed, match="it was made with secret://token, which this step is not given"):
        up(host, params(shop, "2"))


def test_a_project_of_other_hands_is_known_by_its_files(
    host: Harness, engine: EngineSite, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP", f"{APP}:1")
    engine.docker("compose", "-p", "shop", "-f", str(shop / "compose.yaml"), "up", "-d", "--quiet-pull")
    (shop / "compose.yaml").write_text(SHOP.replace("LEVEL-one", "LEVEL-other"))
    wanted = params(shop, "1")
    assert "no way back" in host.preview(ComposeUp(), wanted).note
    with pytest.raises(TargetFailed, match="no way back for shop: it was not brought up by Pilotage"):
        up(host, wanted)
    assert "LEVEL=one" in engine.inspect("shop-web-1")["Config"]["Env"]

    (shop / "compose.yaml").write_text(SHOP)
    (shop / "sick.yaml").write_text(f"services: {{web: {{image: '{APP}:sick'}}}}")
    with pytest.raises(StepFailed, match="what was there before is back"):
        up(host, {**wanted, "files": ["compose.yaml", "sick.yaml"]})
    assert body() == "version 1"
    assert "LEVEL=one" in engine.inspect("shop-web-1")["Config"]["Env"]


def test_a_project_of_another_folder_is_left_alone(
    host: Harness, engine: EngineSite, shop: Path, tmp_path: Path
) -> None:
    up(host, params(shop))
    other = tmp_path / "other" / "shop"
    other.mkdir(parents=True)
    (other / "compose.yaml").write_text(SHOP)
    with pytest.raises(TargetFailed, match=f"there is a project shop already, from {shop}"):
        up(host, params(other, "2"))
    assert body() == "version 1"


def test_down_and_back_again(host: Harness, engine: EngineSite, shop: Path) -> None:
    up(host, params(shop))
    before = engine.inspect("shop-web-1")
    (listed,) = host.run(ComposeList(), {})["projects"]
    assert (listed["name"], listed["directory"], listed["status"]) == ("shop", str(shop), "partly")
    assert listed["files"] == [str(shop / "compose.yaml")]
    assert [change.subject for change in host.preview(ComposeDown(), {"project": "shop"}).changes] == [
        "shop/migrate", "shop/queue", "shop/web",
    ]  # fmt: skip

    outputs = down(host, {"directory": str(shop)})
    assert engine.names() == set()
    assert {one["Name"] for one in engine.ask("GET", "/volumes")["Volumes"]} >= {"shop_data"}
    assert (outputs["changed"], outputs["way_back"]) == (True, "")
    host.undo(ComposeDown(), {"project": "shop"}, outputs)
    assert body() == "version 1"
    assert engine.inspect("shop-web-1")["Image"] == before["Image"]
    preview = host.preview(ComposeUp(), params(shop)).changes
    assert {change.action for change in preview} == {"run", "none"}, "what came back is not what its file says"

    gone = down(host, {"project": "shop", "volumes": True})
    assert "shop_data" not in {one["Name"] for one in engine.ask("GET", "/volumes")["Volumes"] or ()}
    with pytest.raises(Refused, match="volumes of shop were removed"):
        host.undo(ComposeDown(), {"project": "shop", "volumes": True}, gone)
    assert not down(host, {"project": "shop"})["changed"]


@pytest.mark.parametrize("moment", [0.3, 1.5])
def test_a_cancelled_up_is_taken_back(host: Harness, engine: EngineSite, shop: Path, moment: float) -> None:
    before = engine.picture()
    with pytest.raises(StepCancelled):
        up(host, params(shop, min_healthy_time="20s", healthy_deadline="60s"), cancel_after=moment)
    assert engine.picture() == before


KEY = "exe_test/killed/host1//run/1"
PATIENT = {"min_healthy_time": "60s", "healthy_deadline": "90s"}


@contextmanager
def at_work(host: Harness, wanted: dict[str, Any], until: Callable[[], bool], key: str = KEY) -> Iterator[None]:
    """Run compose.up in a process of its own until something is so; kill it afterwards, with all that it started."""
    child = os.fork()
    if child == 0:
        try:
            host.run(ComposeUp(), {**wanted, **PATIENT}, key=key)
        finally:
            os._exit(1)
    host.attempts += 1
    try:
        give_up = time.monotonic() + 30
        while not until():
            assert time.monotonic() < give_up, "it never came to that"
            time.sleep(0.01)
        yield
    finally:
        for pid in (child, *processes_marked(host.marker)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.waitpid(child, 0)


def cut_off(host: Harness, wanted: dict[str, Any], until: Callable[[], bool], key: str = KEY) -> None:
    with at_work(host, wanted, until, key):
        pass


def runs(engine: EngineSite, image: str) -> bool:
    found = engine.ask("GET", "/containers/shop-web-1/json")
    return found is not None and found["Config"]["Image"] == image and bool(found["State"]["Running"])


def is_made(engine: EngineSite, image: str) -> bool:
    return any(one["Image"] == image for one in engine.ask("GET", "/containers/json?all=1"))


@pytest.mark.parametrize("moment", [is_made, runs])
def test_killed_in_the_middle_it_is_put_back_and_the_next_attempt_ends_it(
    host: Harness, engine: EngineSite, shop: Path, moment: Callable[[EngineSite, str], bool]
) -> None:
    up(host, params(shop))
    wanted = params(shop, "2")
    assert host.probe(ComposeUp(), wanted, KEY)["answer"] == "not_done"
    cut_off(host, wanted, lambda: moment(engine, f"{APP}:2"))
    assert host.probe(ComposeUp(), wanted, KEY)["answer"] == "not_done"
    assert host.recover(ComposeUp(), wanted, KEY) == "shop was put back as it was before compose.up"
    assert body() == "version 1"
    assert engine.names() == {"shop-web-1", "shop-migrate-1", "shop-queue-1"}
    web = engine.inspect("shop-web-1")["Id"]
    assert host.recover(ComposeUp(), wanted, KEY) == ""
    assert engine.inspect("shop-web-1")["Id"] == web
    assert host.probe(ComposeUp(), wanted, KEY)["answer"] == "not_done"

    second = KEY.replace("/1", "/2")
    assert host.run(ComposeUp(), wanted, key=second)["changed"]
    assert body() == "version 2"
    answer = host.probe(ComposeUp(), wanted, second)
    assert answer["answer"] == "done"
    host.undo(ComposeUp(), wanted, answer["outputs"])
    assert body() == "version 1"


def test_a_tag_that_moved_is_brought_up_by_the_next_attempt_though_it_was_put_back(
    host: Harness, engine: EngineSite, shop: Path
) -> None:
    """To go back, the tag has to mean the old image again; the next attempt must not take that for the new one."""
    wanted = params(shop, "live")
    try:
        engine.docker("tag", f"{APP}:1", f"{APP}:live")
        up(host, wanted)
        engine.docker("tag", f"{APP}:2", f"{APP}:live")
        new = engine.ask("GET", f"/images/{APP}:2/json")["Id"]
        cut_off(host, wanted, lambda: runs(engine, f"{APP}:live") and engine.inspect("shop-web-1")["Image"] == new)
        host.recover(ComposeUp(), wanted, KEY)
        assert body() == "version 1"
        assert host.probe(ComposeUp(), wanted, KEY)["answer"] == "not_done"
        host.run(ComposeUp(), wanted, key=KEY.replace("/1", "/2"))
        assert body() == "version 2"
    finally:
        engine.remove_everything()
        engine.docker("rmi", f"{APP}:live")


def test_another_step_first_puts_back_what_was_cut_off_and_waits_for_what_is_at_work(
    host: Harness, engine: EngineSite, shop: Path
) -> None:
    up(host, params(shop))
    with at_work(host, params(shop, "2"), lambda: runs(engine, f"{APP}:2")):
        with pytest.raises(TargetFailed, match="another step is bringing up shop at this moment"):
            up(host, params(shop, "sick"))
        engine.docker("stop", "-t", "0", "shop-queue-1")
    with pytest.raises(StepFailed, match=r"unhealthy.*what was there before is back"):
        up(host, params(shop, "sick"))
    assert body() == "version 1"
    assert engine.inspect("shop-queue-1")["State"]["Running"]


def test_what_somebody_has_changed_since_the_interruption_is_left_alone(
    host: Harness, engine: EngineSite, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(host, params(shop), lambda: runs(engine, f"{APP}:1"))
    monkeypatch.setenv("APP", f"{APP}:2")
    engine.docker("compose", "-p", "shop", "-f", str(shop / "compose.yaml"), "up", "-d", "--pull", "never")
    with pytest.raises(TargetFailed, match=r"shop was left as it is: shop-web-1 is neither"):
        host.recover(ComposeUp(), params(shop), KEY)
    assert body() == "version 2"


def test_what_was_cut_off_stays_where_no_way_back_was_wanted(host: Harness, engine: EngineSite, shop: Path) -> None:
    before = engine.picture()
    cut_off(host, params(shop), lambda: runs(engine, f"{APP}:1"))
    host.recover(ComposeUp(), params(shop), KEY)
    assert engine.picture() == before, "a first time that was cut off leaves something"

    wanted, key = params(shop, revert=False), "exe_test/kept/host1//run/1"
    cut_off(host, wanted, lambda: runs(engine, f"{APP}:1"), key)
    assert host.recover(ComposeUp(), wanted, key) == ""
    assert host.probe(ComposeUp(), wanted, key)["answer"] == "done"


def test_files_that_are_not_what_was_planned_change_nothing(host: Harness, engine: EngineSite, shop: Path) -> None:
    planned = host.run(ComposeConfig(), {"directory": str(shop), "env": params(shop)["env"]})["sha256"]
    before = engine.picture()
    (shop / "compose.yaml").write_text(SHOP.replace('"1000"', '"2000"'))
    pull = {"directory": str(shop), "env": params(shop)["env"], "expect_sha256": planned}
    for step_type, wanted in ((ComposePull(), pull), (ComposeUp(), params(shop, expect_sha256=planned))):
        for call in (host.preview, host.run):
            with pytest.raises(TargetFailed, match=rf"not to {planned[:12]}\. Nothing was changed"):
                call(step_type, wanted)
    assert engine.picture() == before
    (shop / "compose.yaml").write_text(SHOP)
    assert up(host, params(shop, expect_sha256=planned))["sha256"] == planned


def test_images_and_definition_are_told(host: Harness, engine: EngineSite, shop: Path) -> None:
    wanted = {"directory": str(shop), "env": {"APP": f"{APP}:1"}}
    told = host.run(ComposeConfig(), wanted)
    assert (told["project"], told["images"]) == ("shop", [f"{APP}:1", "bb:base"])
    assert [service["name"] for service in told["services"] if service["job"]] == ["migrate"]
    other = host.run(ComposeConfig(), {**wanted, "env": {"APP": f"{APP}:2"}})
    assert other["sha256"] != told["sha256"]
    text = f"services: {{web: {{image: '{APP}:1'}}, built: {{build: .}}}}"
    pulled = host.run(ComposePull(), {"directory": "/srv/none", "text": text})
    assert pulled["project"] == "none"
    assert [image["ref"] for image in pulled["images"]] == [f"{APP}@{digest_of(engine, f'{APP}:1')}"]
    with pytest.raises(Refused, match="no such image"):
        host.run(ComposePull(), {"directory": "/srv/none", "text": text.replace(":1'", ":nope'")})


def test_services_that_nobody_checks_run_if_that_is_said_and_are_named(host: Harness, shop: Path) -> None:
    with pytest.raises(TargetFailed, match=r"queue of shop has no health check.*unchecked: run"):
        up(host, params(shop, text="services: {queue: {image: bb:base, stop_signal: SIGKILL}}", project="shop"))
    told = up(host, params(shop, unchecked="run"))
    assert told["unchecked"] == []
    text = "services: {queue: {image: bb:base, stop_signal: SIGKILL}}"
    told = up(host, params(shop, text=text, project="other", unchecked="run"))
    assert told["unchecked"] == ["queue"]


def test_the_profiles_of_a_project_are_known_from_what_stands(host: Harness, tmp_path: Path) -> None:
    mine = {"image": "bb:base", "stop_signal": "SIGKILL"}
    services = {"web": mine, **{name: {**mine, "profiles": [name]} for name in ("debug", "mail")}}
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": services}))
    wanted = {"directory": str(tmp_path), "project": "tools", "unchecked": "run", **FAST}
    up(host, {**wanted, "profiles": ["mail"]})
    (found,) = host.run(ComposeList(), {"profiles": True})["projects"]
    assert (found["services"], found["profiles"]) == (["mail", "web"], ["mail"])
    assert host.run(ComposeList(), {})["projects"][0]["profiles"] is None
