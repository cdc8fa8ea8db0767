"""Kernels: which one is the newest, and whether that one runs."""

import shutil
import subprocess
from itertools import pairwise, product
from pathlib import Path

import pytest
from pilotage_plugins.host.kernel import kernel_state, newer_kernel
from pilotage_plugins.host.version import version_key

BUILD = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)"
VERSIONS = (
    "0", "~", "1", "1-0", "1.0", "1.0~", "1.0~~", "1.0~rc1", "1.0a", "1.0+dfsg-1", "1.0-1", "1.0-1~deb12u1", "1.0-1+b1",
    "1.0-1-2", "1.0-9", "1.0-10", "1.0.1", "2:0.1", "6.1.0-18", "6.12.9+bpo", "6.12.48+deb13",
)  # fmt: skip


def image(build: str) -> bytes:
    """Make the beginning of a PC's kernel image that says which build it is."""
    text = f"6.1.0-18-amd64 (debian-kernel@lists.debian.org) {build}".encode() + b"\0"
    return bytes(0x202) + b"HdrS" + bytes(8) + (0x100).to_bytes(2, "little") + bytes(0x300 - 0x210) + text


def installed(boot: Path, *releases: str) -> None:
    boot.mkdir()
    for release in releases:
        (boot / f"vmlinuz-{release}").write_bytes(image(BUILD))


@pytest.mark.parametrize(
    ("running", "others", "newest"),
    [
        ("6.1.0-18-amd64", (), None),
        ("6.1.0-9-amd64", ("6.1.0-18-amd64",), "6.1.0-18-amd64"),
        ("6.1.0-18-amd64", ("6.1.0-9-amd64",), None),
        ("6.1.0-18-amd64", ("6.1.0-20-cloud-amd64", "6.1.0-20-rt-amd64"), None),
        ("6.1.0-18-cloud-amd64", ("6.1.0-20-cloud-amd64",), "6.1.0-20-cloud-amd64"),
        ("6.1.0-18-amd64", ("6.12.9+bpo-amd64", "6.12.48+deb13-amd64"), "6.12.48+deb13-amd64"),
        ("5.15.0-91-generic", ("5.15.0-101-generic",), "5.15.0-101-generic"),
        ("6.1.0-18-amd64", ("6.1.0-18-amd64.bak", "old", ""), None),
        ("6.6.0", ("6.7.0",), None),
    ],
)
def test_the_newest_kernel_of_the_running_kind_is_found(
    tmp_path: Path, running: str, others: tuple[str, ...], newest: str | None
) -> None:
    installed(tmp_path / "boot", running, *others)
    assert newer_kernel(running, BUILD, tmp_path / "boot", tmp_path / "container") == newest


def test_the_same_release_built_anew_is_told_by_its_image(tmp_path: Path) -> None:
    installed(tmp_path / "boot", "6.1.0-18-amd64")
    newer = BUILD.replace("6.1.76-1", "6.1.85-1")
    (tmp_path / "boot/vmlinuz-6.1.0-18-amd64").write_bytes(image(newer))
    look = ("6.1.0-18-amd64", BUILD, tmp_path / "boot", tmp_path / "container")
    assert newer_kernel(*look) == f"6.1.0-18-amd64 ({newer})"
    for unreadable in (b"", b"MZ" + bytes(600), image("")[:0x20F], image(newer)[:0x300]):
        (tmp_path / "boot/vmlinuz-6.1.0-18-amd64").write_bytes(unreadable)
        assert newer_kernel(*look) is None


def test_a_kernel_from_elsewhere_is_nobodys_to_judge(tmp_path: Path) -> None:
    assert newer_kernel("6.1.0-9-amd64", BUILD, tmp_path / "boot", tmp_path / "container") is None
    installed(tmp_path / "boot", "6.1.0-18-amd64")
    assert newer_kernel("6.1.0-9-amd64", BUILD, tmp_path / "boot", tmp_path / "container") is None
    (tmp_path / "boot/vmlinuz-6.1.0-9-amd64").touch()
    assert newer_kernel("6.1.0-9-amd64", BUILD, tmp_path / "boot", tmp_path / "container") == "6.1.0-18-amd64"
    (tmp_path / "container").write_text("docker")
    assert newer_kernel("6.1.0-9-amd64", BUILD, tmp_path / "boot", tmp_path / "container") is None


def test_needrestarts_word_on_the_kernel_is_read() -> None:
    told = "NEEDRESTART-KCUR: 6.1.0-9-amd64\nNEEDRESTART-KEXP: 6.1.0-18-amd64\nNEEDRESTART-KSTA: 3\n"
    assert kernel_state(told) == ("3", "6.1.0-18-amd64")
    assert kernel_state("") == ("", "")


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")
def test_versions_are_ordered_as_dpkg_orders_them() -> None:
    ordered = sorted(VERSIONS, key=version_key)
    for one, other in pairwise(ordered):
        done = subprocess.run(["dpkg", "--compare-versions", one, "le", other], capture_output=True, check=False)
        assert done.returncode == 0, (one, other)
    same = {(one, other) for one, other in product(VERSIONS, VERSIONS) if version_key(one) == version_key(other)}
    assert same == {(each, each) for each in VERSIONS} | {("1", "1-0"), ("1-0", "1")}
