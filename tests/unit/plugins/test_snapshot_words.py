"""What the snapshots' programs are asked and what they answer: LVM and ZFS are not on every machine."""

import json
from itertools import pairwise
from typing import Any

import pytest
from pilotage_plugin_api import StepFailed, TargetFailed
from pilotage_plugins.snapshot import lvm, zfs
from pilotage_plugins.snapshot.btrfs import nested_subvolumes
from pilotage_plugins.snapshot.lvm import Volume
from pilotage_plugins.snapshot.place import Mount, mount_of, read_mounts

ATTEMPT = "exe_1/keep/db1/a, b ü/run/1"


def test_mounts_are_read_with_their_odd_names() -> None:
    mounts = read_mounts(
        b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        b"40 22 0:35 /@data /srv/my\\040data rw shared:7 master:1 - btrfs /dev/loop0 rw,subvol=/@data\n"
        b"41 22 0:36 / /srv/my\\040data rw - zfs tank/data rw,xattr\n"
    )
    assert mount_of("/srv/my data/x", mounts) == Mount("/srv/my data", "zfs", "tank/data")
    assert mount_of("/srv/my data", mounts).type == "zfs"
    assert mount_of("/srv/my data2", mounts) == Mount("/", "ext4", "/dev/vda")
    with pytest.raises(TargetFailed, match="no file system"):
        mount_of("/srv", mounts[1:])


def test_subvolumes_inside_are_named_where_they_lie() -> None:
    listed = "ID 257 gen 8 top level 256 path @srv/data/in ü\nID 260 gen 9 top level 256 path @srv/data/b/c\n"
    assert nested_subvolumes(listed, "/srv/data") == ["/srv/data/in ü", "/srv/data/b/c"]
    assert nested_subvolumes("", "/srv/data") == []


def test_zfs_is_asked_for_one_snapshot_and_never_for_a_dataset() -> None:
    assert zfs.create_arguments("tank/data", "0123", ATTEMPT) == [
        *("snapshot", "-o", f"pilotage:attempt={ATTEMPT}", "tank/data@pilotage-0123"),
    ]
    assert zfs.destroy_arguments("tank/data", "0123") == ["destroy", "tank/data@pilotage-0123"]
    assert "-r" not in zfs.list_arguments("tank/data")


def test_zfs_lists_ours_among_others() -> None:
    listed = (
        "tank/data@daily\t1795996800\t-\n"
        f"tank/data@pilotage-0123\t1795996801\t{ATTEMPT}\n"
        "tank/data@pilotage-mine\t1795996802\t-\n"
    )
    [found] = zfs.read_snapshots(listed, "/srv/data")
    assert (found.id, found.where, found.execution) == ("0123", "tank/data@pilotage-0123", "exe_1")
    assert found.made_at == "2026-11-30T00:00:01.000000Z"
    assert found.step_run == "exe_1/keep/db1/a, b ü/run"


def row(**more: str) -> dict[str, str]:
    plain = {"vg_name": "vg0", "lv_name": "data", "origin": "", "pool_lv": "", "segtype": "linear", "lv_tags": ""}
    return {**plain, "lv_snapshot_invalid": "", **more}


def report(*rows: dict[str, str]) -> str:
    return json.dumps({"report": [{"lv": list(rows)}]})


@pytest.mark.parametrize(
    ("volume", "room"),
    [(Volume("vg0", "data", thin=True), []), (Volume("vg0", "data", thin=False), ["--extents", "15%ORIGIN"])],
)
def test_lvm_is_asked_for_room_only_where_it_needs_it(volume: Volume, room: list[str]) -> None:
    argv = lvm.create_arguments(volume, "0123", ATTEMPT, 1795996801, 15)
    assert argv[:4] == ["lvcreate", "--snapshot", "--name", "pilotage-0123"]
    assert argv[-1] == "vg0/data"
    assert [part for part in argv if part in ("--extents", "15%ORIGIN")] == room
    for tag in (part for flag, part in pairwise(argv) if flag == "--addtag"):
        assert all(letter.isalnum() or letter in "_+.-/=!:&#" for letter in tag), "LVM refuses other letters in tags"


def test_lvm_finds_its_own_again() -> None:
    volume = lvm.read_volume(report(row(segtype="thin")))
    assert volume == Volume("vg0", "data", thin=True)
    argv = lvm.create_arguments(volume, "0123", ATTEMPT, 1795996801, 15)
    tags = ",".join(part for flag, part in pairwise(argv) if flag == "--addtag")
    ours = row(lv_name="pilotage-0123", origin="data", lv_tags=tags)
    others = [row(), row(lv_name="pilotage-9", origin="data"), row(lv_name="pilotage-8", origin="logs", lv_tags=tags)]
    [found] = lvm.read_snapshots(report(*others, ours), volume, "/srv/data")
    assert (found.id, found.where, found.whole) == ("0123", "vg0/pilotage-0123", True)
    assert (found.execution, found.step_run) == ("exe_1", "exe_1/keep/db1/a, b ü/run")
    assert lvm.remove_arguments(volume, found.id) == ["lvremove", "--yes", "vg0/pilotage-0123"]
    [spilt] = lvm.read_snapshots(report({**ours, "lv_snapshot_invalid": "snapshot invalid"}), volume, "/srv/data")
    assert not spilt.whole


@pytest.mark.parametrize("answer", ["", "{}", '{"report": [{}]}', "[]"])
def test_lvm_that_cannot_be_understood_is_told(answer: Any) -> None:
    with pytest.raises(StepFailed, match="cannot be read"):
        lvm.read_volume(answer)
    with pytest.raises(StepFailed, match="lists 2 volumes"):
        lvm.read_volume(report(row(), row()))
