"""What one attempt may use of the host's memory, and what counts as used."""

import mmap
import os
from pathlib import Path

import grpc
import pytest
from pilotage_agent.runner.memory import default_limit, limit_text, memory_of_host, note_on_peak, used_bytes
from pilotage_agent.runner.process import resident_bytes

MIB = 1 << 20
LARGE_FILE = next((Path(grpc.__file__).parent / "_cython").glob("cygrpc*.so"))


def host(tmp_path: Path, **limits: str) -> int:
    """Return the memory of a host whose agent is in the group outer/inner, of which some have a limit."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text("1:name=systemd:/x\n0::/outer/inner\n")
    (groups / "outer/inner").mkdir(parents=True)
    for name, limit in limits.items():
        place = {"root": groups, "outer": groups / "outer", "inner": groups / "outer/inner"}[name]
        (place / "memory.max").write_text(limit + "\n")
    return memory_of_host(proc, groups)


MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, MACHINE),
        ({"inner": "max", "outer": "max"}, MACHINE),
        ({"inner": str(64 * MIB), "outer": "max"}, 64 * MIB),
        ({"inner": str(64 * MIB), "outer": str(32 * MIB)}, 32 * MIB),
        ({"root": str(16 * MIB)}, 16 * MIB),
        ({"inner": str(1 << 60)}, MACHINE),
    ],
)
def test_the_host_s_memory_is_what_the_agent_can_get(tmp_path: Path, limits: dict[str, str], expected: int) -> None:
    assert host(tmp_path, **limits) == expected


def test_a_host_without_control_groups_has_its_machine_s_memory(tmp_path: Path) -> None:
    assert memory_of_host(tmp_path, tmp_path) == MACHINE


def test_by_default_something_is_left_for_the_host() -> None:
    assert 0 < default_limit() < memory_of_host()


def test_pages_of_files_do_not_count_and_own_memory_does() -> None:
    me = os.getpid()
    with LARGE_FILE.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        before = used_bytes([me], 0), resident_bytes(me)
        assert sum(mapped[::4096]) > 0
        after = used_bytes([me], 0), resident_bytes(me)
        assert after[1] - before[1] > len(mapped) // 2
        assert after[0] - before[0] < len(mapped) // 4
    bare = used_bytes([me], 0)
    own = bytearray(128 * MIB)  # so much that what the process lets go meanwhile is of no weight
    own[::4096] = b"\1" * (len(own) // 4096)
    assert used_bytes([me], 0) - bare > 64 * MIB


def test_a_failure_near_the_limit_names_the_limit_and_its_setting() -> None:
    assert note_on_peak(0) == ""
    assert note_on_peak(1 << 50) == ""
    assert limit_text(MIB) in note_on_peak(MIB)
    assert "memory_limit_mb" in limit_text(MIB)
