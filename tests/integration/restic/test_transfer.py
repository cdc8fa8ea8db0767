"""Data from one host to another, byte for byte, over connections that break."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import DeadlineExceeded, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.backup.restore import restore_snapshot
from pilotage_plugins.snapshot.listing import SnapshotList
from pilotage_plugins.transfer import receive
from pilotage_plugins.transfer.receive import TransferReceive
from pilotage_plugins.transfer.send import TransferSend
from pilotage_plugins.tree import manifest
from pilotage_plugins.tree.entry import describe

from tests.integration.cutting_proxy import CuttingProxy, running_proxy
from tests.integration.everything import picture
from tests.integration.restic.cheap_key import PASSWORD
from tests.integration.restic.rest_server import running_rest_server

pytestmark = pytest.mark.integration

MEBIBYTE = 1024 * 1024
SEND, RECEIVE = "exe_1/send/host1//run/1", "exe_1/receive/other//run/1"


@pytest.fixture
def other(tmp_path: Path) -> Harness:
    """The host that receives."""
    (tmp_path / "other").mkdir()
    harness = Harness.in_folder(tmp_path / "other")
    harness.host = "other"
    harness.secrets.contents["restic"] = PASSWORD
    return harness


def send(host: Harness, vault: dict[str, Any], path: Path, **more: Any) -> dict[str, Any]:
    return host.run(TransferSend(), {**vault, "path": str(path)}, **more)


def test_what_arrives_is_what_was_sent_and_can_be_taken_back(
    host: Harness, other: Harness, vault: dict[str, Any], data: Path
) -> None:
    sent = send(host, vault, data)
    target = other.sandbox / "a rrived ü"
    params = {**vault, "sent": sent["sent"], "target": str(target)}
    received = other.run(TransferReceive(), params, key=RECEIVE)
    assert picture(target) == picture(data)
    assert received["identical"] == len(picture(data))
    assert (received["files"], received["bytes"]) == (sent["files"], sent["bytes"])
    for _ in range(2):
        other.undo(TransferReceive(), params, received)
        assert list(other.sandbox.iterdir()) == []
    assert host.run(BackupList(), vault)["total"] == 0, "what is on its way is no backup"
    host.run(BackupPrune(), {**vault, "keep": {"last": 1}})
    other.run(TransferReceive(), params)
    for _ in range(2):
        host.undo(TransferSend(), {**vault, "path": str(data)}, sent)
    assert list(Path(vault["repository"], "snapshots").iterdir()) == []
    with pytest.raises(StepFailed, match="holds no transfer"):
        other.run(TransferReceive(), {**params, "target": str(target) + "2"})


def test_nothing_is_replaced_unasked_and_what_was_replaced_comes_back(
    host: Harness, other: Harness, vault: dict[str, Any], data: Path
) -> None:
    (data / "alone").write_text("one file")
    sent = send(host, vault, data / "alone")["sent"]
    target = other.sandbox / "there"
    target.write_text("theirs")
    params = {**vault, "sent": sent, "target": str(target)}
    for ask in (other.preview, other.run):
        with pytest.raises(TargetFailed, match=r"already: give another `target`, or set overwrite: true"):
            ask(TransferReceive(), params)
    received = other.run(TransferReceive(), {**params, "overwrite": True}, key=RECEIVE)
    assert target.read_text() == "one file"
    [aside] = other.run(SnapshotList(), {"path": str(target)})["snapshots"]
    assert Path(aside["where"]).read_text() == "theirs"
    other.undo(TransferReceive(), params, received)
    assert target.read_text() == "theirs"
    assert [entry.name for entry in other.sandbox.iterdir()] == ["there"]


def test_an_interrupted_attempt_is_known(host: Harness, other: Harness, vault: dict[str, Any], data: Path) -> None:
    sent = send(host, vault, data, key=SEND)
    probed = host.probe(TransferSend(), {**vault, "path": str(data)}, SEND)
    assert probed["answer"] == "done"
    assert probed["outputs"]["sent"] == sent["sent"]
    assert host.probe(TransferSend(), {**vault, "path": str(data)}, SEND + "1")["answer"] == "not_done"
    params = {**vault, "sent": probed["outputs"]["sent"], "target": str(other.sandbox / "x")}
    assert other.probe(TransferReceive(), params, RECEIVE)["answer"] == "not_done"
    received = other.run(TransferReceive(), params, key=RECEIVE)
    again = other.probe(TransferReceive(), params, RECEIVE)
    assert again["answer"] == "done"
    assert again["outputs"]["arrival"] == received["arrival"]


def flip(path: Path) -> None:
    """Change a few bytes so that nothing but the content tells."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\0\0\0\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_another_content_than_was_sent_never_takes_the_place(
    host: Harness, other: Harness, vault: dict[str, Any], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(host, vault, data)["sent"]
    params = {**vault, "target": str(other.sandbox / "x")}
    forged = {**sent, "manifest_sha256": "0" * 64}
    with pytest.raises(StepFailed, match="is not what host1 sent"):
        other.run(TransferReceive(), {**params, "sent": forged})
    with pytest.raises(Refused, match=r"sent\.snapshot_id"):
        other.run(TransferReceive(), {**params, "sent": {**sent, "snapshot_id": "latest"}})
    genuine = restore_snapshot

    async def damaged(restic: Any, snapshot: Any, target: str, *rest: Any, **more: Any) -> None:
        await genuine(restic, snapshot, target, *rest, **more)
        flip(Path(f"{target}{data}", "large"))

    monkeypatch.setattr(receive, "restore_snapshot", damaged)
    with pytest.raises(StepFailed, match=r"is not what it sent, 1 differences: .*large.* has sha256"):
        other.run(TransferReceive(), {**params, "sent": sent})
    assert list(other.sandbox.iterdir()) == []


def test_what_changes_while_it_is_sent_is_taken_back(
    host: Harness, vault: dict[str, Any], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = describe

    def meanwhile(path: bytes, *rest: Any) -> Any:
        (data / "text").write_text("changed")
        return genuine(path, *rest)

    monkeypatch.setattr(manifest, "describe", meanwhile)
    with pytest.raises(StepFailed, match=r"1 entries of .* changed while they were sent"):
        send(host, vault, data)
    assert list(Path(vault["repository"], "snapshots").iterdir()) == []


@pytest.fixture
def road(host: Harness, tmp_path: Path) -> Iterator[tuple[CuttingProxy, dict[str, Any]]]:
    """A repository that is reached through a connection which can break."""
    with running_rest_server(tmp_path / "vaults") as port, running_proxy(port) as proxy:
        params = {"password": "secret://restic", "lock_wait": "0s", "cache": str(tmp_path / "cache")}
        vault = {**params, "repository": f"rest:http://127.0.0.1:{proxy.port}/road"}
        host.run(BackupInit(), vault)
        proxy.passed = 0
        yield proxy, vault


@pytest.fixture
def much(host: Harness) -> Path:
    folder = host.sandbox / "much"
    folder.mkdir()
    for number in range(12):
        (folder / str(number)).write_bytes(os.urandom(4 * MEBIBYTE))
    return folder


def test_a_connection_that_breaks_in_the_middle_loses_nothing(
    host: Harness, other: Harness, road: tuple[CuttingProxy, dict[str, Any]], much: Path
) -> None:
    proxy, vault = road
    proxy.cut_after = 20 * MEBIBYTE
    sent = send(host, vault, much)
    assert proxy.cuts == 1
    proxy.cut_after = proxy.passed + 20 * MEBIBYTE
    params = {**vault, "sent": sent["sent"], "target": str(other.sandbox / "much")}
    other.run(TransferReceive(), params)
    assert proxy.cuts == 2
    assert picture(other.sandbox / "much") == picture(much)


def test_a_road_that_stays_broken_is_gone_on_where_it_broke(
    host: Harness, other: Harness, road: tuple[CuttingProxy, dict[str, Any]], much: Path
) -> None:
    proxy, vault = road
    proxy.cut_after, proxy.stay_dead = 44 * MEBIBYTE, True
    with pytest.raises(DeadlineExceeded):
        send(host, vault, much, key=SEND, timeout=6)
    assert proxy.cuts == 1
    proxy.dead, proxy.passed = False, 0
    sent = send(host, {**vault, "unlock": "own"}, much, key=SEND.removesuffix("1") + "2")
    assert sent["bytes"] == 48 * MEBIBYTE
    assert sent["bytes_added"] < 36 * MEBIBYTE, "what had arrived was not sent again"
    params = {**vault, "sent": sent["sent"], "target": str(other.sandbox / "much")}
    proxy.cut_after = proxy.passed + 20 * MEBIBYTE
    with pytest.raises(DeadlineExceeded):
        other.run(TransferReceive(), params, key=RECEIVE, timeout=6)
    assert list(other.sandbox.iterdir()) == [], "nothing half done is left"
    proxy.cut_after, proxy.dead = None, False
    other.run(TransferReceive(), params, key=RECEIVE.removesuffix("1") + "2")
    assert picture(other.sandbox / "much") == picture(much)
