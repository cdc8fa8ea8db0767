"""The samples of transfers, through a repository in a folder."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api.testing import Conformance, Harness, Sample
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.transfer.receive import TransferReceive
from pilotage_plugins.transfer.send import TransferSend

from tests.integration.restic.cheap_key import PASSWORD, make_password_cheap


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A repository through which something was sent, made once, and what the sender said."""
    folder = tmp_path_factory.mktemp("road")
    harness = Harness.in_folder(folder)
    harness.secrets.contents["restic"] = PASSWORD
    (harness.sandbox / "data").mkdir()
    (harness.sandbox / "data" / "file").write_text("sent\n")
    repository = {"repository": str(folder / "repository"), "password": "secret://restic"}
    harness.run(BackupInit(), repository)
    make_password_cheap(folder / "repository", PASSWORD)
    sent = harness.run(TransferSend(), {**repository, "path": str(harness.sandbox / "data")})
    return folder / "repository", sent["sent"]


@pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed: apt-get install restic")
class _OnRoad(Conformance):
    params: dict[str, Any]
    sent: dict[str, Any]

    @pytest.fixture(autouse=True)
    def _own_road(self, tmp_path: Path, road: tuple[Path, dict[str, Any]]) -> None:
        shutil.copytree(road[0], tmp_path / "repository")
        self.params = {"repository": str(tmp_path / "repository"), "password": "secret://restic"}
        self.sent = road[1]


class TestTransferSend(_OnRoad):
    step_type = TransferSend()

    def sample(self, sandbox: Path) -> Sample:
        (sandbox / "data").mkdir()
        (sandbox / "data" / "file").write_text("to be sent\n")
        return Sample({**self.params, "path": str(sandbox / "data")}, secrets={"restic": PASSWORD})


class TestTransferReceive(_OnRoad):
    step_type = TransferReceive()

    def sample(self, sandbox: Path) -> Sample:
        params = {**self.params, "sent": self.sent, "target": str(sandbox / "arrived")}
        return Sample(params, secrets={"restic": PASSWORD})
