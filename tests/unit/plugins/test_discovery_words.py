"""What discovery makes of what it is told: bounded, and never held up by a file system that is silent."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.discovery import disks
from pilotage_plugins.discovery.disks import DiscoveryDisks, Mount, mounts_of
from pilotage_plugins.discovery.packages import DiscoveryPackages, FoundPackage
from pilotage_plugins.discovery.room import ROOM, fitting

TABLE = """\
/dev/vda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/vda1 /srv/again ext4 rw 0 0
vault:/export /mnt/va\\040ult nfs4 ro,hard 0 0
"""


def test_each_device_that_holds_data_is_asked_once() -> None:
    assert mounts_of(TABLE, all=False) == [
        Mount("/dev/vda1", "/", "ext4", False),
        Mount("vault:/export", "/mnt/va ult", "nfs4", True),
    ]
    assert [mount.path for mount in mounts_of(TABLE, all=True)] == ["/", "/mnt/va ult", "/proc", "/run"]


def test_a_file_system_that_is_silent_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone, real = threading.Event(), os.statvfs

    def statvfs(path: str) -> os.statvfs_result:
        if path == "/gone":
            gone.wait(60)
        return real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(disks, "ANSWER_SECONDS", 0.2)
    mounts = [
        Mount("a:/", "/gone", "nfs", False),
        Mount("b", str(tmp_path), "ext4", True),
        Mount("c", "/no/x", "xfs", False),
    ]
    found, silent = disks.ask(mounts)
    before = threading.active_count()
    assert disks.ask(mounts)[1] == ["/gone"]
    assert threading.active_count() == before, "it is asked again while it hangs"
    gone.set()
    assert silent == ["/gone"]
    assert [(disk.mount, disk.read_only, disk.bytes > 0) for disk in found] == [(str(tmp_path), True, True)]


def test_this_machine_has_disks(harness: Harness) -> None:
    found = harness.run(DiscoveryDisks(), {"all": True})["disks"]
    assert "/proc" not in {disk["mount"] for disk in found}, "what has no size is no disk"
    assert all(0 <= disk["free"] <= disk["bytes"] for disk in found)
    assert found


@pytest.mark.skipif(shutil.which("apt-mark") is None, reason="this machine has no apt")
def test_packages_are_those_that_apt_calls_manual(harness: Harness) -> None:
    asked = subprocess.run(["apt-mark", "showmanual"], capture_output=True, text=True, check=True).stdout.split()
    told = harness.run(DiscoveryPackages(), {})
    assert [each["name"] for each in told["packages"]] == sorted(asked)[: len(told["packages"])]
    assert len(told["packages"]) + told["left_out"] == len(asked)
    dpkg = harness.run(DiscoveryPackages(), {"manual": False, "match": "dpkg"})["packages"]
    version = subprocess.run(["dpkg-query", "-Wf", "${Version}", "dpkg"], capture_output=True, text=True, check=True)
    assert {"name": "dpkg", "version": version.stdout} in dpkg


def test_what_does_not_fit_is_counted() -> None:
    many = [FoundPackage(name=f"package-{number:05}", version="1" * 100) for number in range(2000)]
    told, left_out = fitting(many)
    assert 0 < len(told) < 2000
    assert len(told) + left_out == 2000
    assert sum(len(each.model_dump_json()) for each in told) <= ROOM
    assert fitting([]) == ((), 0)
