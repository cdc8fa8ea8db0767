"""What a host says of itself: all of it, and soon, whatever hangs."""

import ipaddress
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent import facts
from pilotage_agent.facts import gather_facts
from pilotage_plugin_api.testing.processes import processes_marked


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_everything_that_plans_and_people_need_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in {
        "docker": "echo Docker version 27.3.1, build ce12230",
        "restic": "echo restic 0.18.1 compiled with go1.25.1 on linux/amd64",
        "systemctl": "echo 'systemd 252 (252.39-1~deb12u1)'",
    }.items():
        program(tmp_path, name, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = gather_facts(tmp_path)
    json.dumps(found, allow_nan=False)
    assert found["hostname"] == os.uname().nodename
    assert set(found["os"]) == {"id", "version", "name"}
    assert found["cpu_count"] >= 1
    assert 0 < found["memory_available_bytes"] <= found["memory_total_bytes"]
    assert all(ipaddress.ip_address(one) for one in found["addresses"])
    assert found["disks"]
    assert all(0 <= disk["free"] <= disk["size"] for disk in found["disks"])
    assert found["programs"] == {"docker": "27.3.1", "restic": "0.18.1", "systemd": "252"}
    assert found["scratch_free_bytes"] > 0


def test_programs_that_are_missing_or_broken_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", "exit 1")
    program(tmp_path, "restic", "head -c 100 /dev/urandom | tr -d 0-9")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setitem(facts._PROGRAMS, "systemd", ("no-such-program",))
    assert gather_facts(tmp_path)["programs"] == {}


def test_a_hanging_program_and_what_it_started_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", "sleep 300 & sleep 300; echo 1.2.3")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PILOTAGE_FACTS_TEST", str(tmp_path))
    monkeypatch.setattr(facts, "_PROGRAM_SECONDS", 0.2)
    started = time.monotonic()
    assert "docker" not in gather_facts(tmp_path)["programs"]
    assert time.monotonic() - started < 10
    give_up = time.monotonic() + 5
    while (left := processes_marked(f"PILOTAGE_FACTS_TEST={tmp_path}")) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert not left


def test_a_file_system_that_does_not_answer_hides_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\nnas:/a /gone nfs4 rw 0 0\nnas:/b /there nfs4 rw 0 0\n")
    real_path, real_ask, release = Path, os.statvfs, threading.Event()

    def ask(mount: Any) -> os.statvfs_result:
        if mount == "/gone":
            release.wait(30)
        return real_ask("/")

    monkeypatch.setattr(facts, "Path", lambda name: real_path(mounts if name == "/proc/self/mounts" else name))
    monkeypatch.setattr(os, "statvfs", ask)
    monkeypatch.setattr(facts, "_DISK_SECONDS", 0.2)
    try:
        for _ in range(3):
            assert [disk["mount"] for disk in gather_facts(tmp_path)["disks"]] == ["/", "/there"]
            assert sum(thread.name.startswith("disk") for thread in threading.enumerate()) == 1, "the one that hangs"
    finally:
        release.set()
