"""File systems of the tests' own, on loop files: btrfs, xfs that clones, and whatever the machine has."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pilotage_plugin_api.testing import Harness

MEBIBYTE = 1024 * 1024
SMALLEST = {"btrfs": 128, "xfs": 320}
"""What the makers of these file systems accept, in mebibytes; the files are sparse."""


@contextmanager
def loop_disk(folder: Path, kind: str) -> Iterator[Path]:
    """A fresh file system of the kind, mounted; skips where that cannot be."""
    maker = shutil.which(f"mkfs.{kind}", path="/usr/sbin:/sbin:/usr/bin")
    if maker is None:
        pytest.skip(f"mkfs.{kind} is not installed: apt-get install btrfs-progs xfsprogs")
    image, point = folder / f"{kind}.img", folder / kind
    with image.open("wb") as file:
        file.truncate(SMALLEST[kind] * MEBIBYTE)
    subprocess.run([maker, "-q", image], check=True, capture_output=True)
    with mounted(point, "-o", "loop", str(image)):
        yield point


@contextmanager
def mounted(point: Path, *arguments: str) -> Iterator[Path]:
    """Something mounted at a new folder; skips where that cannot be."""
    point.mkdir()
    done = subprocess.run(["mount", *arguments, point], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.decode().strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.fixture(scope="session")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with loop_disk(tmp_path_factory.mktemp("disks"), "btrfs") as point:
        yield point


@pytest.fixture(scope="session")
def xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with loop_disk(tmp_path_factory.mktemp("disks"), "xfs") as point:
        yield point


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk on which waiting for the disk costs nothing, for tests that crash often."""
    with mounted(tmp_path_factory.mktemp("disks") / "memory", "-t", "tmpfs", "tmpfs") as point:
        yield point


@pytest.fixture(params=["here", "xfs", "btrfs", "subvolume"])
def kind(request: pytest.FixtureRequest) -> str:
    """Where the data lies; `subvolume` is one on btrfs, a snapshot of which is the file system's own."""
    return str(request.param)


@pytest.fixture
def path(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A path that is not there yet, on that kind of disk, but for the subvolume, which is empty."""
    disk = tmp_path if kind == "here" else request.getfixturevalue({"subvolume": "btrfs"}.get(kind, kind))
    folder = disk / f"{tmp_path.name} ü\nx"
    folder.mkdir()
    if kind == "subvolume":
        subprocess.run(["btrfs", "subvolume", "create", folder / "data"], check=True, capture_output=True)
    yield folder / "data"
    if kind == "subvolume":
        for left in sorted(folder.rglob("*"), reverse=True):
            if left.is_dir() and left.stat().st_ino == 256:
                subprocess.run(["btrfs", "subvolume", "delete", left], check=True, capture_output=True)
    shutil.rmtree(folder)


@pytest.fixture
def host(harness: Harness) -> Harness:
    return harness
