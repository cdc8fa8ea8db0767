"""A folder that holds one of everything that a file system can, and an exact picture of any folder."""

import os
from dataclasses import replace
from pathlib import Path

from pilotage_plugins.tree.entry import Entry, describe
from pilotage_plugins.tree.walk import Walk


def make_everything(folder: Path) -> Path:
    """Fill a new folder: names of every kind, links, holes, attributes, modes, owners, times."""
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "text").write_text("hello\n")
    (folder / "empty").touch()
    (folder / "large").write_bytes(os.urandom(3_000_000))
    (folder / "new\nline").write_text("odd")
    (folder / " [x]*?\\ $HOME 'q\" ü").write_text("odder")
    Path(os.fsdecode(bytes(folder) + b"/undecodable \xff\xfe")).write_text("oddest")
    (folder / "deep" / "er" / "secret").write_text("private")
    (folder / "deep" / "er" / "secret").chmod(0o600)
    (folder / "setuid").touch()
    (folder / "setuid").chmod(0o4755)
    (folder / "link").symlink_to("text")
    (folder / "dangling").symlink_to("/nowhere/at all")
    (folder / "hard one").write_text("shared")
    os.link(folder / "hard one", folder / "deep" / "hard two")
    os.mkfifo(folder / "pipe")
    (folder / "sparse").touch()
    os.truncate(folder / "sparse", 5_000_000)
    os.utime(folder / "text", ns=(1_000_000_000_123_456_789, 1_234_567_890_987_654_321))
    if os.geteuid() == 0:
        os.chown(folder / "empty", 1234, 5678)
    os.setxattr(folder / "text", "user.note", b"\0binary\xff")
    return folder


def picture(folder: Path) -> list[Entry]:
    """Describe everything in the folder, the folder included; which names share a file counts, not its number."""
    root = os.fsencode(folder)
    shared: dict[int, int] = {}
    entries = []
    for found in Walk(root).entries():
        entry = describe(found.path, found.stat, lambda: None)
        links = shared.setdefault(entry.links, len(shared) + 1) if entry.links else 0
        entries.append(replace(entry, path=os.fsdecode(found.path[len(root) :]), links=links))
    return entries
