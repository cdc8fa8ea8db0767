"""What ends in the middle, by the network or by force: it is told in the right kind, and the next run works."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed
from pilotage_plugin_api.testing import Harness, tree_of
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.locks import process_lives
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.backup.restore import BackupRestore
from pilotage_plugins.backup.verify import BackupVerify

from tests.integration.cutting_proxy import CuttingProxy, running_proxy
from tests.integration.restic.cheap_key import PASSWORD
from tests.integration.restic.conftest import restic_version
from tests.integration.restic.rest_server import running_rest_server

pytestmark = pytest.mark.integration

MEBIBYTE = 1024 * 1024


@pytest.fixture
def large(host: Harness) -> Path:
    """Data of which a backup has sent nothing but a part when a few megabytes went by."""
    folder = host.sandbox / "large"
    folder.mkdir()
    for number in range(4):
        (folder / f"file{number}").write_bytes(os.urandom(8 * MEBIBYTE))
    return folder


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CuttingProxy]:
    with running_rest_server(tmp_path / "vaults") as port, running_proxy(port) as proxy:
        yield proxy


@pytest.fixture
def far(host: Harness, line: CuttingProxy, tmp_path: Path) -> dict[str, Any]:
    """A repository behind the proxy."""
    vault = {
        "repository": f"rest:http://127.0.0.1:{line.port}/host1",
        "password": "secret://restic",
        "lock_wait": "0s",
        "outage_wait": "2s",
        "cache": str(tmp_path / "cache"),
    }
    host.run(BackupInit(), vault)
    return vault


def cut_soon(line: CuttingProxy) -> None:
    """Cut once some megabytes more went by, and let nothing through until the line is no longer `dead`."""
    line.stay_dead = True
    line.cut_after = line.passed + 12 * MEBIBYTE


def test_a_network_that_is_cut_in_a_backup_is_infrastructure_and_the_next_run_works(
    host: Harness, far: dict[str, Any], line: CuttingProxy, large: Path
) -> None:
    cut_soon(line)
    before = host.living_children()
    with pytest.raises(InfrastructureFailed, match=r"went away|cannot be reached"):
        host.run(BackupCreate(), {**far, "paths": [str(large)]}, timeout=120)
    assert line.cuts == 1
    assert not host.left_behind(before)
    line.dead = False
    assert host.run(BackupList(), far)["total"] == 0
    again = host.run(BackupCreate(), {**far, "paths": [str(large)]})
    assert again["files_processed"] == 4
    assert host.run(BackupVerify(), {**far, "read_data": "full"})["snapshots"] == 2


def test_a_network_that_is_cut_in_a_restore_is_infrastructure_and_the_next_run_works(
    host: Harness, far: dict[str, Any], line: CuttingProxy, large: Path, tmp_path: Path
) -> None:
    host.run(BackupCreate(), {**far, "paths": [str(large)]})
    cut_soon(line)
    target = tmp_path / "out"
    with pytest.raises(InfrastructureFailed, match=r"went away|cannot be reached"):
        host.run(BackupRestore(), {**far, "target": str(target)}, timeout=120)
    assert line.cuts == 1
    line.dead = False
    host.run(BackupRestore(), {**far, "target": str(target), "overwrite": True})
    assert tree_of(Path(f"{target}{large}"), times=True) == tree_of(large, times=True)
    assert host.run(BackupPrune(), {**far, "keep": {"last": 1}})["kept"] == 1


@pytest.mark.skipif(restic_version() >= (0, 17), reason="this restic may be told that what it sends again is there")
def test_a_network_that_comes_back_in_time_is_no_failure(
    host: Harness, far: dict[str, Any], line: CuttingProxy, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_soon(line)

    def mend(text: str) -> None:
        if "retrying after" in text:
            line.dead = False

    monkeypatch.setattr(type(host.recorder), "log", lambda _self, _stream, text: mend(text))
    made = host.run(BackupCreate(), {**far, "outage_wait": "5m", "paths": [str(large)]}, timeout=120)
    assert line.cuts == 1
    assert made["files_processed"] == 4


def locks_in(vault: dict[str, Any]) -> list[str]:
    """Return the names of the locks; what restic was writing when it was killed is none."""
    return [each.name for each in Path(vault["repository"], "locks").iterdir() if len(each.name) == 64]


def kill_at(host: Harness, step: str, module: str, params: dict[str, Any], folder: Path, word: str) -> None:
    """Run a step in a worker of its own, which is killed, with restic, when a command with this word has begun."""
    folder.mkdir()
    script = textwrap.dedent(f"""
        import os, signal, asyncio
        from pathlib import Path
        from pilotage_plugin_api.testing import Harness
        from pilotage_plugins.backup import restic
        from pilotage_plugins.backup.{module} import {step}
        harness = Harness.in_folder(Path({str(folder)!r}))
        harness.secrets.contents["restic"] = {PASSWORD!r}
        genuine = restic.Restic._start
        locks = Path({params["repository"]!r}, "locks")
        async def start(self, *arguments, **more):
            if arguments[0] == {word!r}:
                task = asyncio.create_task(genuine(self, *arguments, **more))
                while not any(len(each.name) == 64 for each in locks.iterdir()):  # not a half written one
                    assert not task.done(), "it was over before it could be killed"
                    await asyncio.sleep(0.001)
                os.killpg(0, signal.SIGKILL)
            return await genuine(self, *arguments, **more)
        restic.Restic._start = start
        harness.run({step}(), {params!r})
    """)
    worker = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, start_new_session=True)
    _, said = worker.communicate(timeout=120)
    assert worker.returncode == -signal.SIGKILL, said
    # restic has a session of its own; as an agent's worker would, whoever is left ends it.
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if params["repository"].encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                while process_lives(int(process.name)):
                    pass
        except OSError:
            continue


@pytest.mark.parametrize(
    ("step", "module", "more", "word"),
    [
        (BackupVerify(), "verify", {"read_data": "full"}, "check"),
        (BackupPrune(), "prune", {"keep": {"last": 1}}, "prune"),
        (BackupRestore(), "restore", {"target": "TARGET", "overwrite": True}, "restore"),
    ],
    ids=["verify", "prune", "restore"],
)
def test_what_is_killed_in_the_middle_leaves_nothing_in_the_way(
    host: Harness, vault: dict[str, Any], large: Path, tmp_path: Path, step: Any, module: str, more: Any, word: str
) -> None:
    for number in range(2):
        (large / "file0").write_bytes(os.urandom(8 * MEBIBYTE))
        host.run(BackupCreate(), {**vault, "paths": [str(large)], "tags": [f"n{number}"]})
    params = {**vault, **more}
    if "target" in more:
        params["target"] = str(tmp_path / "out")
    kill_at(host, type(step).__name__, module, params, tmp_path / "worker", word)
    assert locks_in(vault), "it was killed too late"
    patient = {"lock_wait": "20s"}  # on a busy machine what was killed takes a moment to be gone
    host.run(step, {**params, **patient})
    assert host.run(BackupVerify(), {**vault, **patient, "read_data": "full"})["snapshots"] >= 2
    assert host.run(RestoreDrill(), {**vault, **patient})["identical"]
    host.run(BackupPrune(), {**vault, **patient, "keep": {"last": 5}})  # which suffers no lock beside its own
    assert not locks_in(vault)
