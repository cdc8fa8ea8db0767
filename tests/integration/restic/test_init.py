"""A repository that several make at the same moment is made once, or nobody believes that it is good."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import StepContext, StepFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup import init, local_init
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList

from tests.integration.restic.cheap_key import PASSWORD
from tests.integration.restic.rest_server import running_rest_server

pytestmark = pytest.mark.integration

HOSTS = 3


@pytest.fixture
def hosts(tmp_path: Path) -> list[Harness]:
    made = []
    for number in range(HOSTS):
        (folder := tmp_path / f"host{number}").mkdir()
        made.append(Harness.in_folder(folder))
        made[-1].secrets.contents |= {"restic": PASSWORD, "place": bytes(tmp_path / "vault")}
    return made


def at_once(hosts: list[Harness], params: dict[str, Any]) -> list[Any]:
    """Let all hosts make it, each in a thread; return what they are told, or why not."""

    def make(host: Harness) -> Any:
        try:
            return host.run(BackupInit(), params, key=f"exe_1/open/{id(host)}//run/1")["repository_id"]
        except StepFailed as error:
            return error

    with ThreadPoolExecutor(HOSTS) as pool:
        return list(pool.map(make, hosts))


def together(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """Nobody begins before all have seen that there is no repository."""
    genuine: Callable[..., Any] = getattr(module, name)
    barrier = threading.Barrier(HOSTS)

    async def waiting(*args: Any) -> Any:
        await asyncio.to_thread(barrier.wait, 60)
        return await genuine(*args)

    monkeypatch.setattr(module, name, waiting)


def test_in_a_folder_all_of_them_have_the_same_one(
    hosts: list[Harness], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together(monkeypatch, init, "make_in_folder")
    ids = at_once(hosts, {"repository": "secret://place", "password": "secret://restic"})
    assert len(set(ids)) == 1, ids
    vault = tmp_path / "vault"
    assert len(list((vault / "keys").iterdir())) == 1
    assert sorted(entry.name for entry in vault.iterdir()) == sorted(
        ["config", "data", "index", "keys", "locks", "snapshots"]
    )
    assert len(list((vault / "data").iterdir())) == 256
    assert hosts[0].run(BackupList(), {"repository": str(vault), "password": "secret://restic"})["total"] == 0


def test_one_that_is_killed_before_the_end_is_finished_by_the_next(
    host: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"repository": str(tmp_path / "vault"), "password": "secret://restic"}
    genuine = local_init._rename_to_nothing

    def until_the_keys_are_there(source: Path, target: Path) -> bool:
        genuine(source, target)
        if target.name == "keys":
            raise OSError(5, "killed here", str(target))
        return True

    with monkeypatch.context() as patch:
        patch.setattr(local_init, "_rename_to_nothing", until_the_keys_are_there)
        with pytest.raises(Exception, match="killed here"):
            host.run(BackupInit(), params)
    [key] = (tmp_path / "vault" / "keys").iterdir()
    assert not (tmp_path / "vault" / "config").exists()
    assert host.run(BackupInit(), params)["repository_id"]
    assert list((tmp_path / "vault" / "keys").iterdir()) == [key]
    assert not list((tmp_path / "vault").glob(".pilotage-*"))


def test_elsewhere_whoever_is_not_alone_says_so(
    hosts: list[Harness], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together(monkeypatch, init, "_make")
    together(monkeypatch, StepContext, "sleep")  # nor looks again before all have made one
    with running_rest_server(tmp_path / "served") as port:
        told = at_once(hosts, {"repository": f"rest:http://127.0.0.1:{port}/vault/", "password": "secret://restic"})
    assert len(list((tmp_path / "served" / "vault" / "keys").iterdir())) == HOSTS
    assert all(isinstance(one, StepFailed) and "at the same moment" in str(one) for one in told), told
