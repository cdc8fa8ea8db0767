"""Shares of a host: never promised twice, whoever asks when, and whatever is killed."""

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import Refused, StepError, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.note import shelf
from pilotage_plugins.resource import allocate, ledger, release
from pilotage_plugins.resource.allocate import ResourceAllocate
from pilotage_plugins.resource.ledger import Ledger, read_ledger
from pilotage_plugins.resource.readings import read_memory, read_ports
from pilotage_plugins.resource.release import ResourceRelease
from pilotage_plugins.resource.share import GIGABYTE, Allocation, Level, Readings, lacks, room_left

from tests.forked import fork

GB = GIGABYTE
HERE = Readings(
    cores=4.0,
    memory=Level(16 * GB, 15 * GB),
    disk=Level(100 * GB, 40 * GB),
    disk_of={"/": "/", "/srv": "/", "/data": "/data"},
    taken_ports=frozenset({22}),
)


@pytest.fixture
def host(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """A host of four cores with its own ledger."""
    for module in (ledger, shelf):
        monkeypatch.setattr(module, "state_folder", lambda: tmp_path / "state")
    for module in (allocate, release):
        monkeypatch.setattr(module, "read_host", lambda _path, _others: HERE)
    return harness


def run(host: Harness, key: str, **params: Any) -> dict[str, Any]:
    return host.run(ResourceAllocate(), params, key=key)


def share(**more: Any) -> Allocation:
    return Allocation(name="a", owner="exe_1/a/host1//run", **more)


@pytest.mark.parametrize(
    ("disk", "others", "left"),
    [
        (Level(100, 40), [], 40),
        (Level(100, 40), [share(disk_bytes=30, disk_outside=60)], 10),
        (Level(100, 10), [share(disk_bytes=30, disk_outside=60)], 10),
        (Level(100, 35), [share(disk_bytes=30, disk_outside=60), share(disk_bytes=5, disk_outside=60)], 5),
        (Level(100, 5), [share(disk_bytes=30, disk_outside=60)], 5),
        (Level(100, 40), [share(disk_bytes=30, disk_outside=60, disk_path="/data")], 40),
        (Level(100, 0), [share(disk_bytes=90, disk_outside=60)], 0),
    ],
    ids=["alone", "not used yet", "used up", "two", "others grew", "another disk", "more than there is"],
)
def test_what_is_promised_and_used_counts_once(disk: Level, others: list[Allocation], left: int) -> None:
    readings = Readings(4.0, Level(1, 1), disk, HERE.disk_of, frozenset())
    assert room_left(readings, others, "/srv").disk == left


def test_everything_that_is_lacking_is_named() -> None:
    wanted = share(cpu_cores=5, memory_bytes=20 * GB, disk_bytes=50 * GB, ports=(22, 80, 443))
    other = Allocation(name="web", owner="x", ports=(80,))
    text = "; ".join(lacks(wanted, room_left(HERE, [other], "/"), HERE, [other]))
    assert text == (
        "cpu_cores 5 of which 4 are left; memory_gb 20 of which 15.00 are left;"
        " disk_gb 50 of which 40.00 are left at '/'; port 22, on which something listens;"
        " port 80, which is promised to web"
    )


def test_the_kernels_tables_are_read() -> None:
    assert read_memory("MemTotal:  16 kB\nMemFree: 1 kB\nMemAvailable:  8 kB\n") == Level(16384, 8192)
    with pytest.raises(TargetFailed, match="MemAvailable"):
        read_memory("MemTotal: 16 kB\n")
    table = (
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:1F90 00000000:0000 0A 0 0\n   1: 0100007F:9C40 0100007F:1F90 01 0 0\n"
    )
    assert read_ports(table, listening_only=True) == [8080]
    assert read_ports(table, listening_only=False) == [8080, 40000]


def test_a_share_is_promised_once_and_given_back(host: Harness) -> None:
    made = run(host, "exe_1/a/host1//run/1", name="shop", cpu_cores=3, ports=[8080])
    assert run(host, "exe_1/a/host1//run/2", name="shop", cpu_cores=3, ports=[8080]) == made
    with pytest.raises(Refused, match=r"name: an allocation 'shop' is there already, made by exe_1/a/host1//run"):
        run(host, "exe_2/a/host1//run/1", name="shop", cpu_cores=1)
    with pytest.raises(TargetFailed, match=r"cpu_cores 2 of which 1 are left; port 8080.*promised to shop.*shop"):
        run(host, "exe_2/a/host1//run/1", name="other", cpu_cores=2, ports=[8080])
    with pytest.raises(TargetFailed, match="cpu_cores"):
        host.preview(ResourceAllocate(), {"name": "other", "cpu_cores": 2})
    released = host.run(ResourceRelease(), {"name": "shop"}, key="exe_2/give/host1//run/1")
    assert host.run(ResourceRelease(), {"name": "shop"}, key="exe_2/give/host1//run/2") == released
    run(host, "exe_2/a/host1//run/1", name="other", cpu_cores=2, ports=[8080])
    with pytest.raises(TargetFailed, match=r"'shop' cannot be promised again: cpu_cores 3.*port 8080"):
        host.undo(ResourceRelease(), {"name": "shop"}, released)
    host.undo(ResourceAllocate(), {"name": "shop", "cpu_cores": 3}, made)
    assert [each.name for each in read_ledger().allocations] == ["other"]


def test_undo_leaves_the_share_of_another_with_the_same_name(host: Harness) -> None:
    made = run(host, "exe_1/a/host1//run/1", name="shop", cpu_cores=3)
    host.run(ResourceRelease(), {"name": "shop"})
    run(host, "exe_2/a/host1//run/1", name="shop", cpu_cores=1)
    host.undo(ResourceAllocate(), {"name": "shop", "cpu_cores": 3}, made)
    assert [each.owner for each in read_ledger().allocations] == ["exe_2/a/host1//run"]


def test_without_a_name_it_is_the_executions(host: Harness) -> None:
    assert run(host, "exe_1/a/host1//run/1", cpu_cores=1)["name"] == "exe_1"
    assert host.run(ResourceRelease(), {}, key="exe_2/b/host1//run/1")["released"] is None
    assert host.run(ResourceRelease(), {}, key="exe_1/b/host1//run/1")["released"]["cpu_cores"] == 1


@pytest.mark.parametrize("name", ["", "../etc", "A", "a b", "a\n", "a/b", ".hidden", "x" * 200])
def test_hostile_names_are_refused(host: Harness, name: str) -> None:
    with pytest.raises(Refused, match="name"):
        run(host, "exe_1/a/host1//run/1", name=name, cpu_cores=1)


@pytest.mark.parametrize("more", [{}, {"cpu_cores": 0}, {"ports": [0]}, {"ports": [70000]}, {"memory_gb": -1}])
def test_nothing_and_nonsense_are_refused(host: Harness, more: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"cpu_cores|ports|memory_gb"):
        run(host, "exe_1/a/host1//run/1", **more)


def test_a_port_on_which_something_listens_is_not_free(harness: Harness) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(TargetFailed, match=f"port {port}, on which something listens"):
            harness.preview(ResourceAllocate(), {"ports": [port]})
    with pytest.raises(TargetFailed, match="memory_gb 900000 of which"):
        harness.preview(ResourceAllocate(), {"memory_gb": 900_000})


def test_many_at_once_never_get_more_than_there_is(host: Harness, tmp_path: Path) -> None:
    got: list[str] = []

    def ask(number: int) -> None:
        (folder := tmp_path / str(number)).mkdir()
        try:
            got.append(run(Harness.in_folder(folder), f"exe_{number}/a/host1//run/1", cpu_cores=1.5)["name"])
        except StepError:
            return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 2
    assert sorted(each.name for each in read_ledger().allocations) == sorted(got)


def test_a_kill_while_it_is_written_down_leaves_the_old_ledger_and_no_lock(
    host: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(host, "exe_1/a/host1//run/1", cpu_cores=1)
    pid = fork()
    if pid == 0:
        monkeypatch.setattr(Path, "rename", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        try:
            run(host, "exe_2/a/host1//run/1", cpu_cores=1)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    host.attempts += 1
    assert os.WIFSIGNALED(status)
    assert [each.name for each in read_ledger().allocations] == ["exe_1"]
    run(host, "exe_2/a/host1//run/1", cpu_cores=1)


def test_a_ledger_that_cannot_be_read_promises_nothing(host: Harness) -> None:
    run(host, "exe_1/a/host1//run/1", cpu_cores=1)
    ledger.ledger_file().write_text('{"version": 1, "allocations": [{"name"')
    with pytest.raises(TargetFailed, match=r"allocations\.json' cannot be read.*Look at it"):
        run(host, "exe_2/a/host1//run/1", cpu_cores=1)
    ledger.write_ledger(Ledger())
    run(host, "exe_2/a/host1//run/1", cpu_cores=1)
