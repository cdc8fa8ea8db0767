"""A manifest says what was there, knows what it cannot vouch for, and no damage of a copy escapes a comparison."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pilotage_plugin_api import StepFailed
from pilotage_plugins.tree.comparison import Comparison, compare
from pilotage_plugins.tree.entry import Entry, entry_from_line
from pilotage_plugins.tree.errors import TreeError
from pilotage_plugins.tree.exclusion import Exclusion, literal_pattern
from pilotage_plugins.tree.manifest import SETTLE_SECONDS, ManifestTotals, read_manifest, survey, write_manifest
from pilotage_plugins.tree.walk import Walk, path_key


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "deep").mkdir(parents=True)
    (folder / "text").write_text("hello\n")
    (folder / "deep.txt").write_text("sorts between deep and deep/x, if one is not careful")
    (folder / "deep" / "x").write_text("x")
    (folder / "new\nline").write_text("odd")
    Path(os.fsdecode(bytes(folder) + b"/\xff")).write_text("odder")
    (folder / "link").symlink_to("text")
    (folder / "one").write_text("shared")
    os.link(folder / "one", folder / "deep" / "two")
    (folder / "alike").write_text("shared")
    os.mkfifo(folder / "pipe")
    os.setxattr(folder / "text", "user.note", b"\xff")
    return folder


def nothing() -> None:
    pass


def described(tree: Path, tmp_path: Path, meanwhile: Callable[[], object] = nothing) -> ManifestTotals:
    survey([Walk(bytes(tree))], tmp_path / "survey")
    time.sleep(SETTLE_SECONDS)
    meanwhile()
    return write_manifest([Walk(bytes(tree))], tmp_path / "survey", {}, tmp_path / "manifest")


def copied(tree: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "restored" / tree.relative_to("/")
    copy.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", tree, copy], check=True)
    return copy


def compared(tree: Path, tmp_path: Path) -> Comparison:
    manifest = read_manifest(tmp_path / "manifest")
    return compare(manifest, [bytes(tree)], bytes(tmp_path / "restored"), os.geteuid() == 0, nothing)


def test_a_faithful_copy_is_identical(tree: Path, tmp_path: Path) -> None:
    totals = described(tree, tmp_path)
    copied(tree, tmp_path)
    result = compared(tree, tmp_path)
    assert (result.different, result.volatile) == (0, 0)
    assert result.identical == totals.entries == 12
    assert result.files_identical == totals.files == 8
    assert result.bytes_identical == totals.bytes


def swap_content(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def break_link(path: Path) -> None:
    shutil.copy2(path, path.with_name("own"))
    parent = path.parent.stat()
    path.with_name("own").rename(path)
    os.utime(path.parent, ns=(parent.st_atime_ns, parent.st_mtime_ns))


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("test")


def retype(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "content": (lambda copy: swap_content(copy / "text"), "text.*sha256"),
    "content of an odd name": (lambda copy: swap_content(copy / "new\nline"), r"new\\nline.*sha256"),
    "size": (lambda copy: os.truncate(copy / "text", 3), "text.*size"),
    "time": (lambda copy: os.utime(copy / "deep" / "x"), "deep/x.*mtime"),
    "time of a folder": (lambda copy: os.utime(copy / "deep"), "deep'.*mtime"),
    "mode": (lambda copy: (copy / "text").chmod(0o640), "text.*mode"),
    "attribute": (lambda copy: os.removexattr(copy / "text", "user.note"), "text.*attributes"),
    "link": (lambda copy: relink(copy / "link"), "link.*target"),
    "type": (lambda copy: retype(copy / "pipe"), "pipe.*should be a fifo"),
    "missing": (lambda copy: (copy / "deep" / "x").unlink(), "deep/x.*missing"),
    "missing folder": (lambda copy: shutil.rmtree(copy / "deep"), "deep.*missing"),
    "stranger": (lambda copy: (copy / "stranger").touch(), "stranger.*was not"),
    "broken hard link": (lambda copy: break_link(copy / "deep" / "two"), "hard link"),
    "all gone": (shutil.rmtree, "missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(tree: Path, tmp_path: Path, damage: str) -> None:
    described(tree, tmp_path)
    copy = copied(tree, tmp_path)
    act, word = DAMAGES[damage]
    act(copy)
    result = compared(tree, tmp_path)
    assert result.different
    assert any(re.search(word, text) for text in result.differences), result.differences


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change owners")
def test_another_owner_is_found(tree: Path, tmp_path: Path) -> None:
    described(tree, tmp_path)
    os.chown(copied(tree, tmp_path) / "text", 1234, 5678)
    assert "uid 1234" in compared(tree, tmp_path).differences[0]


def test_what_changed_meanwhile_is_volatile_and_the_rest_is_not(tree: Path, tmp_path: Path) -> None:
    def live() -> None:
        (tree / "text").write_text("other\n")
        (tree / "deep" / "x").unlink()
        (tree / "deep" / "new").touch()

    totals = described(tree, tmp_path, live)
    volatile = {Path(entry.path).name for entry in read_manifest(tmp_path / "manifest") if entry.volatile}
    assert volatile == {"text", "x", "new", "deep"}
    assert totals.volatile == 4
    copied(tree, tmp_path)
    result = compared(tree, tmp_path)
    assert (result.different, result.volatile) == (0, 4)


def test_a_content_change_that_keeps_size_and_time_is_seen(tree: Path, tmp_path: Path) -> None:
    described(tree, tmp_path, lambda: swap_content(tree / "text"))
    [entry] = [entry for entry in read_manifest(tmp_path / "manifest") if entry.path.endswith("text")]
    assert entry.volatile


def test_a_walk_is_in_the_order_of_its_keys(tree: Path) -> None:
    keys = [found.key for found in Walk(bytes(tree)).entries()]
    assert keys == sorted(keys)
    assert path_key(b"/a/b") < path_key(b"/a/b/c") < path_key(b"/a/b.c")


def test_cancellation_ends_a_walk(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).touch()

    def stop() -> None:
        raise StepFailed("stopped")

    with pytest.raises(StepFailed, match="stopped"):
        list(Walk(bytes(tmp_path), checkpoint=stop).entries())


def test_an_entry_is_read_back_as_written() -> None:
    entry = Entry(path=os.fsdecode(b"/a\xff\n"), type="file", mode=0o644, mtime=-5, sha256="ab", volatile=True)
    assert entry_from_line(entry.to_line()) == entry


@pytest.mark.parametrize("content", [b"", b"junk", b"\x1f\x8b junk"])
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest").write_bytes(content)
    with pytest.raises(TreeError, match="manifest"):
        list(read_manifest(tmp_path / "manifest"))


@pytest.mark.parametrize(
    ("pattern", "path", "out"),
    [
        ("*.tmp", "/a/b.tmp", True),
        ("*.tmp", "/a/b.tmp/c", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/b/c", False),
        ("/a/**/c", "/a/b/x/c", True),
        ("b", "/a/b", True),
        ("b", "/a/bc", False),
        ("[ab]?", "/x/bz", True),
        ("[!ab]?", "/x/bz", False),
        ("[[]x]", "/x/[x]", True),
        ("a\nb", "/x/a\nb", True),
        ("[", "/x/[", True),
    ],
)
def test_patterns_mean_what_is_written(pattern: str, path: str, out: bool) -> None:
    assert Exclusion([pattern]).leaves_out(path.encode()) is out


def test_a_literal_pattern_is_escaped() -> None:
    assert literal_pattern(b"/a*[b]?\\") == b"/a\\*\\[b]\\?\\\\"
