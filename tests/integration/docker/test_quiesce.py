"""Containers that rest during a backup: they run again whatever is killed, and what was at rest before stays so."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent.messages import Assignment, Cancel, Effect, Outcome
from pilotage_plugin_api import InfrastructureFailed, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.container.engine import Engine
from pilotage_plugins.container.lifecycle import ContainerPause
from pilotage_plugins.container.resume import ContainerResumeAll
from pilotage_plugins.discovery.data import DiscoveryData

from tests.integration.agent.runner_site import key, runner_site
from tests.integration.docker.engine_site import EngineSite
from tests.integration.docker.test_worker import until
from tests.integration.restic.cheap_key import PASSWORD, make_password_cheap

Start = Callable[..., dict[str, Any]]
KEY = "exe_test/rest/host1//run/1"
pytestmark = pytest.mark.skipif(
    shutil.which("restic") is None, reason="restic is not installed: apt-get install restic"
)


@pytest.fixture(scope="module")
def empty_vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository, made once."""
    folder = tmp_path_factory.mktemp("vault")
    harness = Harness.in_folder(folder)
    harness.secrets.contents["restic"] = PASSWORD
    harness.run(BackupInit(), {"repository": str(folder / "vault"), "password": "secret://restic"})
    make_password_cheap(folder / "vault", PASSWORD)
    return folder / "vault"


@pytest.fixture
def wanted(host: Harness, tmp_path: Path, start: Start, engine: EngineSite, empty_vault: Path) -> dict[str, Any]:
    """Parameters of a backup for which two containers rest; a third is paused, and a fourth stopped, already."""
    host.secrets.contents["restic"] = PASSWORD
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("content")
    vault = {"repository": str(shutil.copytree(empty_vault, tmp_path / "vault")), "password": "secret://restic"}
    for name in ("one", "two", "frozen", "off"):
        start(name, "bb:base")
    # Under load runc gives up freezing a container now and then.
    for _ in range(10):
        engine.docker("pause", "frozen", check=False)
        if engine.inspect("frozen")["State"]["Paused"]:
            break
    engine.docker("stop", "off")
    return {**vault, "paths": [str(data)], "quiesce": {"containers": ["one", "two", "frozen", "off"]}}


def states(engine: EngineSite) -> list[str]:
    return [engine.inspect(name)["State"]["Status"] for name in ("one", "two", "frozen", "off")]


AWAKE = ["running", "running", "paused", "exited"]


@pytest.mark.parametrize("how", ["pause", "stop"])
def test_they_rest_while_the_data_is_read(
    host: Harness, engine: EngineSite, wanted: dict[str, Any], notes: Path, how: str
) -> None:
    wanted["quiesce"]["how"] = how
    before = host.preview(BackupCreate(), wanted)
    made = host.run(BackupCreate(), wanted)
    assert (made["rested"], made["rested_s"] > 0) == (["one", "two"], True)
    assert states(engine) == AWAKE
    assert not list(notes.rglob("*.json"))
    assert any(change.subject == "one" and how in change.note for change in before.changes)


def test_a_container_that_is_not_there_is_said_and_nothing_rests(
    host: Harness, engine: EngineSite, wanted: dict[str, Any]
) -> None:
    wanted["quiesce"]["containers"] += ["gone"]
    with pytest.raises(TargetFailed, match="gone"):
        host.run(BackupCreate(), wanted)
    assert states(engine) == AWAKE


def test_after_the_longest_rest_they_run_and_nothing_is_called_a_backup(
    host: Harness, engine: EngineSite, wanted: dict[str, Any], notes: Path
) -> None:
    # Not even the key of the repository is found in that time.
    wanted["quiesce"]["max"] = "200ms"
    with pytest.raises(StepFailed, match=r"may rest for 0:00:00.2.*run again"):
        host.run(BackupCreate(), wanted)
    assert states(engine) == AWAKE
    assert host.run(BackupList(), {name: wanted[name] for name in ("repository", "password")})["total"] == 0
    assert not list(notes.rglob("*.json"))


def test_an_engine_that_is_away_for_a_moment_is_waited_for(
    host: Harness, engine: EngineSite, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    unpause, refused = Engine.unpause, [2]

    async def unwilling(self: Engine, name: str) -> None:
        refused[0] -= 1
        if refused[0] >= 0:
            raise InfrastructureFailed("the Docker Engine went away")
        await unpause(self, name)

    monkeypatch.setattr(Engine, "unpause", unwilling)
    host.run(BackupCreate(), wanted)
    assert refused[0] < 0
    assert states(engine) == AWAKE


def killed(host: Harness, params: dict[str, Any], request: str, after: int) -> None:
    """Run a backup in a process that gets SIGKILL right after so many requests of a kind to the engine."""
    child = os.fork()
    if child == 0:
        try:
            original, left = getattr(Engine, request), [after]

            async def dying(self: Engine, *args: Any) -> Any:
                answer = await original(self, *args)
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            setattr(Engine, request, dying)
            host.run(BackupCreate(), params, key=KEY)
        finally:
            os._exit(1)
    host.attempts += 1
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    ("how", "stage", "after"),
    [("pause", "inspect", 4), ("pause", "rest", 1), ("pause", "rest", 2), ("pause", "wake", 1), ("pause", "wake", 2),
     ("stop", "rest", 1), ("stop", "rest", 2), ("stop", "wake", 1)],
)  # fmt: skip
def test_killed_anywhere_they_run_again(
    host: Harness, engine: EngineSite, wanted: dict[str, Any], notes: Path, how: str, stage: str, after: int
) -> None:
    wanted["quiesce"]["how"] = how
    request = {"rest": how, "wake": "unpause" if how == "pause" else "start"}.get(stage, stage)
    killed(host, wanted, request, after)
    for _ in range(2):
        host.recover(BackupCreate(), wanted, "exe_test/another/host1//run/1")
        said = host.recover(BackupCreate(), wanted, KEY)
        assert states(engine) == AWAKE
    assert said == ""
    assert not list(notes.rglob("*.json"))


def test_what_a_hook_stopped_is_started_again_once(host: Harness, tmp_path: Path, wanted: dict[str, Any]) -> None:
    log = tmp_path / "log"
    hook = {"argv": ["sh", "-c", 'echo started >> "$0"', str(log)]}
    wanted["hooks"] = {"before": [{"argv": ["true"]}], "after": [hook]}
    killed(host, wanted, "pause", 1)
    assert not log.exists()
    assert "1 `after` hook" in host.recover(BackupCreate(), wanted, KEY)
    assert host.recover(BackupCreate(), wanted, KEY) == ""
    assert log.read_text() == "started\n"


async def test_a_worker_killed_at_rest_and_then_cancelled(
    tmp_path: Path, engine: EngineSite, wanted: dict[str, Any]
) -> None:
    async with runner_site(tmp_path / "agent") as site:
        site.attempts.assign(
            Assignment(
                key=key(),
                epoch=1,
                plan_digest="sha256:0",
                step_type="backup.create",
                effect=Effect.PROBE,
                parameters=json.dumps(wanted).encode(),
                secrets={"restic": PASSWORD},
                host_variables=json.dumps({"docker_host": engine.address}).encode(),
            )
        )
        await until(lambda: states(engine)[1] == "paused")
        (worker,) = [entry.worker for entry in site.journal.entries() if entry.worker is not None]
        os.kill(worker.pid, signal.SIGKILL)
        site.attempts.cancel(Cancel(key(), 1, "enough"))
        result = await site.result(key(), 60)
        evidence = json.loads(result.evidence)
        assert (result.outcome, evidence.get("recovery")) in (
            (Outcome.INTERRUPTED, "done"),
            (Outcome.CANCELLED, "done"),
        ), result
        assert states(engine) == AWAKE


def test_resume_all_wakes_what_an_execution_put_to_rest(
    host: Harness, engine: EngineSite, wanted: dict[str, Any]
) -> None:
    host.run(ContainerPause(), {"container": "one"}, key="exe_a/pause/host1//run/1")
    host.run(ContainerPause(), {"container": "frozen"}, key="exe_a/again/host1//run/1")
    killed(host, {**wanted, "quiesce": {"containers": ["two"], "how": "stop"}}, "stop", 1)
    assert host.run(ContainerResumeAll(), {"paused_by": "exe_a"}) == {"resumed": ["one"], "left": []}
    assert host.run(ContainerResumeAll(), {}, key="exe_test/finally/host1//run/1")["resumed"] == ["two"]
    assert host.run(ContainerResumeAll(), {"paused_by": "exe_test"}) == {"resumed": [], "left": []}
    assert states(engine) == AWAKE


def test_resume_all_leaves_those_of_an_attempt_that_is_at_work(
    host: Harness, engine: EngineSite, wanted: dict[str, Any]
) -> None:
    child = os.fork()
    if child == 0:
        try:
            host.run(BackupCreate(), wanted, key=KEY)
        finally:
            os._exit(1)
    host.attempts += 1
    try:
        while states(engine)[1] != "paused":
            pass
        os.kill(child, signal.SIGSTOP)
        assert host.run(ContainerResumeAll(), {"paused_by": "exe_test"}) == {"resumed": [], "left": ["one", "two"]}
        assert states(engine)[:2] == ["paused", "paused"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert host.recover(BackupCreate(), wanted, KEY) == "woke one, two"


def test_discovery_names_the_containers_that_write_to_a_folder(
    host: Harness, engine: EngineSite, start: Start, tmp_path: Path
) -> None:
    for name in ("shop", "mail", "shop2"):
        (tmp_path / "srv" / name / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "srv")
    start("app", "-v", f"{tmp_path}/srv/shop/inner:/data", "bb:base")
    start("all", "-v", f"{tmp_path}/link:/data", "bb:base")
    start("reader", "-v", f"{tmp_path}/srv/shop:/data:ro", "bb:base")
    start("other", "-v", f"{tmp_path}/srv/shop2:/data", "bb:base")
    roots = [str(tmp_path / "srv" / "shop"), str(tmp_path / "srv" / "mail")]
    found = host.run(DiscoveryData(), {"roots": roots})["volumes"]
    assert {one["name"]: one["containers"] for one in found} == {"shop": ["all", "app"], "mail": ["all"]}
