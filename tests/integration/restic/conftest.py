"""A host with data of every kind, and a repository, for tests with the real restic."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup import init
from pilotage_plugins.backup.init import BackupInit

from tests.integration.everything import make_everything
from tests.integration.restic.cheap_key import PASSWORD, make_password_cheap


@pytest.fixture(autouse=True)
def _needs_restic() -> None:
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed on this machine: apt-get install restic")


@pytest.fixture(autouse=True)
def _nobody_else_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' repositories are their own: there is nobody to wait for after making one."""
    monkeypatch.setattr(init, "SETTLE_SECONDS", 0)


@pytest.fixture(scope="session")
def empty_vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository, made once."""
    folder = tmp_path_factory.mktemp("vault")
    harness = Harness.in_folder(folder)
    harness.secrets.contents["restic"] = PASSWORD
    harness.run(BackupInit(), {"repository": str(folder / "repository"), "password": "secret://restic"})
    make_password_cheap(folder / "repository", PASSWORD)
    return folder / "repository"


@pytest.fixture
def host(harness: Harness) -> Harness:
    harness.secrets.contents["restic"] = PASSWORD
    return harness


@pytest.fixture
def vault(tmp_path: Path, empty_vault: Path) -> dict[str, Any]:
    """The parameters of an empty repository of the test's own."""
    shutil.copytree(empty_vault, tmp_path / "repository")
    return {"repository": str(tmp_path / "repository"), "password": "secret://restic", "lock_wait": "0s"}


@pytest.fixture
def data(host: Harness) -> Path:
    """A folder that holds one of everything that a file system can."""
    return make_everything(host.sandbox / "data")


def dead_lock(vault: dict[str, Any], command: str) -> None:
    """Leave the lock of a restic behind that was killed at this command: `prune` or `check` lock all others out."""
    environment = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": PASSWORD.decode()}
    locks = Path(vault["repository"], "locks")
    while not any(locks.iterdir()):
        holder = subprocess.Popen(
            ["restic", "-r", vault["repository"], "--no-cache", command],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while holder.poll() is None and not any(locks.iterdir()):
            pass
        holder.kill()
        holder.wait()


def restic_version() -> tuple[int, ...]:
    """The version of this machine's restic; (0,) without one."""
    if shutil.which("restic") is None:
        return (0,)
    said = subprocess.run(["restic", "version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.split()[1].split("."))


def make_database(path: Path, rows: int, *, wal: bool = True) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
        database.execute("CREATE TABLE entries (id INTEGER PRIMARY KEY, twin INTEGER, body TEXT)")
        database.executemany("INSERT INTO entries VALUES (?, ?, ?)", ((n, n, "x" * 100) for n in range(rows)))
        database.commit()
