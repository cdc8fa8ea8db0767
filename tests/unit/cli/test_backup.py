"""`pilotage backup`: what it asks, and what an owner signs."""

import base64
import io
import json
import subprocess
from pathlib import Path

from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.security.age import decrypt, read_identity
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_proto.recovery import NAMESPACE, read_recovery
from pilotage_proto.sshsig import read_key, verify

from tests.unit.cli.terminal import Terminal
from tests.unit.runtime.test_backup import IDENTITY, RECIPIENT
from tests.unit.service.desk import DAY, GUEST, NOW, OWNER, TOKEN, Desk, OneBackup


def test_a_backup_is_encrypted_or_plain_by_word_and_warned_of(terminal: Terminal, tmp_path: Path) -> None:
    async def prepare(desk: Desk) -> None:
        object.__setattr__(desk.services, "backups", OneBackup(tmp_path))

    assert terminal.run("backup", "create").code == 2
    assert terminal.run("backup", "create", "--plain", "-r", "age1x").code == 2
    to = tmp_path / "moved.tar"
    said = terminal.run("backup", "create", "--plain", "--logs", "-o", str(to), prepare=prepare)
    assert said.code == 0, said
    assert (to.read_text(), "4:sha256:4" in said.out) == ("backup", True)
    assert "holds every key" in said.err
    assert said.audit == [("backup.create", "allowed", "coordinator")]
    assert terminal.run("backup", "create", "--plain", "-o", str(to), prepare=prepare).code == 2
    encrypted = terminal.run("--json", "backup", "create", "-r", "age1x", prepare=prepare)
    assert (encrypted.json["encrypted"], "warning" in encrypted.err) == (True, False)


def test_an_owner_signs_what_a_restore_has_lost(terminal: Terminal, tmp_path: Path) -> None:
    key = tmp_path / "owner"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    desks: list[Desk] = []

    async def restored(desk: Desk) -> None:
        desks.append(desk)
        await desk.services.recoveries.record(await desk.store.audit.head())  # type: ignore[attr-defined]

    assert terminal.run("backup", "accept", "--key", str(key), "--yes").code == 1
    said = terminal.run("--json", "backup", "accept", "--key", str(key), "--yes", prepare=restored)
    assert (said.code, said.json["signed"]) == (0, True)
    assert [operation for operation, _, _ in said.audit] == ["recovery.sign"]
    (record,) = desks[-1].services.recoveries.recoveries  # type: ignore[attr-defined]
    verify(record.signature, record.statement, NAMESPACE, read_key(key.with_suffix(".pub").read_text()))
    assert read_recovery(record.statement).log == "coo_1"
    assert terminal.run("backup", "accept", "--key", str(tmp_path / "no"), "--yes", prepare=restored).code == 1


def test_a_restore_needs_an_empty_folder_and_says_what_is_wrong(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    backup = tmp_path / "b.tar"
    backup.write_text("no backup")
    said = terminal.run("backup", "restore", str(backup), "--state-dir", str(tmp_path / "full"))
    assert (said.code, "not empty" in said.err) == (1, True)
    said = terminal.run("backup", "restore", str(backup), "--state-dir", str(tmp_path / "new"))
    assert (said.code, "no whole backup" in said.err) == (1, True)


def test_secrets_are_exported_for_those_who_hold_the_key_alone(terminal: Terminal, tmp_path: Path) -> None:
    canary = b"canary-51e07f3a9c"

    async def prepare(desk: Desk) -> None:
        desk.secrets.values = {"restic/db1": canary, "tls/key": b"\x00\xff"}

    to = tmp_path / "secrets.age"
    said = terminal.run("secret", "export", "-r", RECIPIENT, "-o", str(to), prepare=prepare)
    assert (said.code, said.audit) == (0, [("secret.export", "allowed", "secrets")])
    assert to.stat().st_mode & 0o777 == 0o600
    data = to.read_bytes()
    assert canary not in data
    assert base64.b64encode(canary) not in data
    out = io.BytesIO()
    decrypt(io.BytesIO(data), out, read_identity(IDENTITY))
    found = json.loads(out.getvalue())["secrets"]
    assert {name: base64.b64decode(value) for name, value in found.items()} == {
        "restic/db1": canary,
        "tls/key": b"\x00\xff",
    }
    assert terminal.run("secret", "export", "-r", RECIPIENT, "-o", str(to), prepare=prepare).code == 1
    assert terminal.run("secret", "export", "-r", "age1nonsense", "-o", str(tmp_path / "x"), prepare=prepare).code == 1
    for face in Face:
        stolen = Caller("ann", PrincipalKind.PERSON, OWNER.grants, face, TOKEN, NOW + DAY)
        refused = terminal.run(
            "secret", "export", "-r", RECIPIENT, "-o", str(tmp_path / "z"), prepare=prepare, caller=stolen
        )
        assert (refused.code, "with no token" in refused.err, (tmp_path / "z").exists()) == (5, True, False)
        assert refused.audit == [("secret.export", "denied", "secrets")]
    guest = terminal.run("secret", "export", "-r", RECIPIENT, "-o", str(tmp_path / "y"), caller=GUEST)
    assert (guest.code, guest.audit[0][:2], (tmp_path / "y").exists()) == (5, ("secret.export", "denied"), False)
