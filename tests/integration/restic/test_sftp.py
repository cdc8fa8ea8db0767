"""A repository behind sftp: restic's own ssh, towards a server of the test's own with keys of its own."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed
from pilotage_plugin_api.context import PLAIN_ENVIRONMENT
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.prune import BackupPrune

from tests.integration.restic.rest_server import free_port

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(SSHD is None, reason="sshd is not installed: apt-get install openssh-server openssh-client"),
    pytest.mark.skipif(os.geteuid() != 0, reason="sshd lets others in for root alone"),
]


@pytest.fixture
def vault(host: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """An address of sftp; the ssh that restic starts finds its key and the server's in the test's own configuration."""
    assert SSHD is not None
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("server", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_bytes((folder / "client.pub").read_bytes())
    port = free_port()
    key = " ".join((folder / "server.pub").read_text().split()[:2])
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key}\n")
    (folder / "config").write_text(
        f"IdentityFile {folder}/client\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nBatchMode yes\n"
    )
    # As a machine's owner sets ssh up for the agent; only the place of its configuration is the test's.
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{folder}/config" "$@"\n')
    (programs / "ssh").chmod(0o755)
    monkeypatch.setitem(PLAIN_ENVIRONMENT, "PATH", f"{programs}:{PLAIN_ENVIRONMENT['PATH']}")
    Path("/run/sshd").mkdir(exist_ok=True)
    log = (tmp_path / "sshd.log").open("wb")
    server = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", str(folder / "server"), "-o", "UsePAM=no",
         "-o", "ListenAddress=127.0.0.1", "-o", f"AuthorizedKeysFile={folder}/authorized", "-o", "StrictModes=no",
         "-o", "PasswordAuthentication=no", "-o", "PermitRootLogin=prohibit-password", "-o", "PidFile=none",
         "-o", "Subsystem=sftp internal-sftp"],
        stdout=subprocess.DEVNULL, stderr=log,
    )  # fmt: skip
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
        ask = ["ssh", "-F", str(folder / "config"), "-p", str(port), f"{user}@127.0.0.1", "true"]
        while subprocess.run(ask, check=False, capture_output=True).returncode:
            assert server.poll() is None, (tmp_path / "sshd.log").read_text()
        yield {
            "repository": f"sftp://{user}@127.0.0.1:{port}/{tmp_path}/vault",
            "password": "secret://restic",
            "lock_wait": "0s",
            "cache": str(tmp_path / "cache"),
        }
    finally:
        server.terminate()
        server.wait(10)
        log.close()


def test_a_repository_behind_sftp_keeps_restores_and_prunes(
    host: Harness, vault: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    host.run(BackupInit(), vault)
    made = host.run(BackupCreate(), {**vault, "paths": [str(data)], "protected": True})
    assert "cannot forbid deleting" in made["warnings"][0], "no word of the author's makes sftp append-only"
    host.run(BackupCreate(), {**vault, "paths": [str(data)]})
    assert host.run(RestoreDrill(), vault)["identical"]
    assert host.run(BackupPrune(), {**vault, "keep": {"last": 1}})["removed"] == 1
    assert host.run(BackupList(), vault)["total"] == 1
    assert (tmp_path / "vault" / "config").exists()


def test_a_server_that_is_not_the_known_one_is_not_trusted(
    host: Harness, vault: dict[str, Any], tmp_path: Path
) -> None:
    host.run(BackupInit(), vault)
    known = tmp_path / "ssh" / "known"
    another = (tmp_path / "ssh" / "client.pub").read_text().split()[:2]
    known.write_text(" ".join([known.read_text().split()[0], *another]) + "\n")
    with pytest.raises(InfrastructureFailed, match="cannot be reached"):
        host.run(BackupList(), vault, timeout=60)
