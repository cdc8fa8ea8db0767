"""Every built-in step type passes the conformance suite that strangers' plugins pass."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.catalogue import load_catalogue
from pilotage_plugin_api.step_type import StepType
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.database_restore import RestoreDatabase
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.backup.restore import BackupRestore
from pilotage_plugins.backup.verify import BackupVerify
from pilotage_plugins.command.run import CommandRun
from pilotage_plugins.discovery.data import DiscoveryData
from pilotage_plugins.dummy.step_types import DummyIdempotent, DummyOnce, DummyProbe, DummyRead
from pilotage_plugins.file.write import FileWrite
from pilotage_plugins.http.check import HttpCheck
from pilotage_plugins.note import shelf
from pilotage_plugins.script.run import ScriptRun
from pilotage_plugins.wait.until import WaitUntil

from tests.contract import (
    test_everyday_plugins,  # noqa: F401 - the samples of everyday steps
    test_resource_plugins,  # noqa: F401 - the samples of allocations
    test_snapshot_plugins,  # noqa: F401 - the samples of snapshots
    test_transfer_plugins,  # noqa: F401 - the samples of transfers
)
from tests.integration.ansible import test_playbook as _playbook  # noqa: F401 - the samples of playbooks
from tests.integration.docker import test_compose_conformance, test_conformance  # noqa: F401 - and of the containers
from tests.integration.host.inside import test_packages as _packages  # noqa: F401 - the samples of packages
from tests.integration.host.inside import test_services as _services  # noqa: F401 - and services, collected there
from tests.integration.restic.cheap_key import PASSWORD, make_password_cheap


class TestCommandRun(Conformance):
    step_type = CommandRun()

    def sample(self, sandbox: Path) -> Sample:
        return Sample(
            {"argv": ["sh", "-c", 'wc -c < "$TOKEN"; echo "{}" >&2'], "secret_files": {"TOKEN": "secret://token"}},
            secrets={"token": b"canary-4412"},
            long={"argv": ["sh", "-c", "sleep 60 & sleep 60 & wait"]},
        )


class TestScriptRun(Conformance):
    step_type = ScriptRun()

    def sample(self, sandbox: Path) -> Sample:
        return Sample(
            {"script": 'wc -c < "$TOKEN"; echo "$1" >&2', "args": ["$(true)"], "secret_files": {"TOKEN": "secret://t"}},
            secrets={"t": b"canary-7741"},
            long={"script": "sleep 60 & sleep 60 & wait"},
        )


class TestFileWrite(Conformance):
    step_type = FileWrite()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "motd").write_text("before\n")
        return Sample({"path": str(sandbox / "motd"), "content": "after\n", "mode": "0600"})


class TestFileWriteOfANewFile(Conformance):
    step_type = FileWrite()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"path": str(sandbox / "new\nname"), "content": "text ü\n"})


class _Quiet(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"all is well"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as listening:
        thread = threading.Thread(target=lambda: listening.serve_forever(poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/health"
        listening.shutdown()
        thread.join()


class _AgainstServer(Conformance):
    url: str

    @pytest.fixture(autouse=True)
    def _serve(self, server: str) -> None:
        self.url = server

    def prepare(self, harness: Harness) -> None:
        harness.catalogue = load_catalogue()


class TestHttpCheck(_AgainstServer):
    step_type = HttpCheck()

    def sample(self, sandbox: Path) -> Sample:
        return Sample({"url": self.url, "contains": "well"})


class TestWaitUntil(_AgainstServer):
    step_type = WaitUntil()

    def sample(self, sandbox: Path) -> Sample:
        check = {"type": "http.check", "parameters": {"url": self.url}}
        never = {"type": "http.check", "parameters": {"url": self.url, "expect": [404]}}
        return Sample({"check": check, "every": "20ms"}, long={"check": never, "every": "50ms", "within": "2m"})


class TestDiscoveryData(Conformance):
    step_type = DiscoveryData()

    def sample(self, sandbox: Path) -> Sample:
        _make_data(sandbox)
        return Sample({"roots": [str(sandbox / "data")], "scratch": str(sandbox)})


class _Dummy(Conformance):
    def sample(self, sandbox: Path) -> Sample:
        return Sample(
            {"outputs": {"answer": 42}, "secret_length": "secret://token", "flood": "64KiB", "progress": 3},
            secrets={"token": b"canary-9917"},
            long={"hang": True},
        )


class TestDummyRead(_Dummy):
    step_type = DummyRead()


class TestDummyIdempotent(_Dummy):
    step_type = DummyIdempotent()


class TestDummyOnce(_Dummy):
    step_type = DummyOnce()


class TestDummyProbe(_Dummy):
    step_type = DummyProbe()

    def sample(self, sandbox: Path) -> Sample:
        finished = str(sandbox.parent / "finished")
        return Sample({"finished": finished}, long={"finished": finished, "hang": True})


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one backup, made once."""
    folder = tmp_path_factory.mktemp("vault")
    harness = Harness.in_folder(folder)
    harness.secrets.contents["restic"] = PASSWORD
    _make_data(harness.sandbox)
    repository = {"repository": str(folder / "repository"), "password": "secret://restic"}
    harness.run(BackupInit(), repository)
    make_password_cheap(folder / "repository", PASSWORD)
    harness.run(BackupCreate(), {**repository, "paths": [str(harness.sandbox / "data")]})
    return folder / "repository"


@pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed: apt-get install restic")
class _WithRepository(Conformance):
    """A sandbox with data, a database, and a repository that holds a backup of such data."""

    folder: Path
    backed_up = True

    @pytest.fixture(autouse=True)
    def _own_vault(self, tmp_path: Path, vault: Path) -> None:
        self.folder = tmp_path / "repository"
        if self.backed_up:
            shutil.copytree(vault, self.folder)

    def prepare(self, harness: Harness) -> None:
        harness.secrets.contents["restic"] = PASSWORD
        _make_data(harness.sandbox)

    def with_repository(self, **params: Any) -> dict[str, Any]:
        return {"repository": str(self.folder), "password": "secret://restic", **params}


class TestBackupInit(_WithRepository):
    step_type = BackupInit()
    backed_up = False

    def sample(self, sandbox: Path) -> Sample:
        return Sample(self.with_repository(), secrets={"restic": PASSWORD})


class TestBackupCreate(_WithRepository):
    step_type = BackupCreate()

    def sample(self, sandbox: Path) -> Sample:
        params = self.with_repository(paths=[str(sandbox / "data")], exclude=["*.tmp"], tags=["volume:data"])
        return Sample(params, secrets={"restic": PASSWORD})


class TestBackupDatabase(_WithRepository):
    step_type = BackupDatabase()

    def sample(self, sandbox: Path) -> Sample:
        database = {"engine": "sqlite", "name": "app", "path": str(sandbox / "data" / "app.db")}
        return Sample(self.with_repository(database=database), secrets={"restic": PASSWORD})


class TestBackupVerify(_WithRepository):
    step_type = BackupVerify()

    def sample(self, sandbox: Path) -> Sample:
        return Sample(self.with_repository(read_data="full"), secrets={"restic": PASSWORD})


class TestBackupList(_WithRepository):
    step_type = BackupList()

    def sample(self, sandbox: Path) -> Sample:
        return Sample(self.with_repository(), secrets={"restic": PASSWORD})


class TestBackupRestore(_WithRepository):
    step_type = BackupRestore()

    def sample(self, sandbox: Path) -> Sample:
        return Sample(self.with_repository(target=str(sandbox / "restored")), secrets={"restic": PASSWORD})


class TestRestoreDatabase(_WithRepository):
    step_type = RestoreDatabase()

    @pytest.fixture(autouse=True)
    def _own_notes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shelf, "state_folder", lambda: tmp_path / "state")

    def prepare(self, harness: Harness) -> None:
        super().prepare(harness)
        database = {"engine": "sqlite", "name": "app", "path": str(harness.sandbox / "data" / "app.db")}
        harness.run(BackupDatabase(), self.with_repository(database=database))

    def sample(self, sandbox: Path) -> Sample:
        database = {"engine": "sqlite", "name": "app", "path": str(sandbox / "data" / "app.db")}
        params = self.with_repository(database=database, overwrite=True)
        return Sample(params, secrets={"restic": PASSWORD}, tidy=True)


class TestBackupPrune(_WithRepository):
    step_type = BackupPrune()

    def sample(self, sandbox: Path) -> Sample:
        params = self.with_repository(keep={"last": 1})
        return Sample(params, secrets={"restic": PASSWORD}, ignored_outputs=frozenset({"duration_s"}))


class TestRestoreDrill(_WithRepository):
    step_type = RestoreDrill()

    def sample(self, sandbox: Path) -> Sample:
        return Sample(self.with_repository(), secrets={"restic": PASSWORD})


def _make_data(sandbox: Path) -> None:
    data = sandbox / "data"
    data.mkdir()
    (data / "text").write_text("hello\n")
    (data / "left out.tmp").write_text("scrap")
    (data / "link").symlink_to("text")
    with closing(sqlite3.connect(data / "app.db")) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()


def _tested(suite: Any) -> Iterator[StepType[Any, Any]]:
    for derived in suite.__subclasses__():
        if derived.__name__.startswith("Test"):
            yield derived.step_type
        yield from _tested(derived)


def test_no_builtin_goes_without_a_sample() -> None:
    catalogue = load_catalogue()
    assert not catalogue.quarantined
    assert set(catalogue.step_types) == {step_type.name for step_type in _tested(Conformance)}
