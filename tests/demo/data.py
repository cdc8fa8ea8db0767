"""What the demo's hosts hold: folders with large, tiny and oddly named files, and a database that is being written."""

import os
import random
import sqlite3
from pathlib import Path

TINY_FILES = 400
LARGE_FILE_BYTES = 24 * 1024 * 1024

ODD_NAMES = (
    b"with space.txt",
    b"quote'and\"double.txt",
    b"new\nline.txt",
    b"-starts-with-dash",
    b"dollar$HOME`tick`.txt",
    b"tab\there.txt",
    "ünïcødé – 文書.txt".encode(),
    b"latin1-\xe9\xe8.txt",
    b"percent%20.txt",
    b"star*glob?[x].txt",
)
"""Names that break careless programs; one of them is not UTF-8."""


def fill_host(folder: Path, seed: int) -> None:
    """Make the data of one host below `folder`: `files/`, `media/` and `app/app.db`. The same seed gives the same."""
    source = random.Random(seed)
    _many_small(folder / "files", source)
    _few_large(folder / "media", source)
    make_database(folder / "app" / "app.db", source)


def _many_small(folder: Path, source: random.Random) -> None:
    for number in range(TINY_FILES):
        path = folder / f"dir{number % 20:02}" / f"note{number:04}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(source.randrange(0, 2048)))
    odd = folder / "odd names"
    odd.mkdir()
    for name in ODD_NAMES:
        (odd / os.fsdecode(name)).write_bytes(b"I am " + name)
    (folder / "link").symlink_to("dir00/note0000.txt")
    (folder / "dangling").symlink_to("nowhere at all")
    (folder / "hard link").hardlink_to(folder / "dir01" / "note0001.txt")
    (folder / "empty folder").mkdir()
    script = folder / "run.sh"
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o750)
    os.utime(script, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))


def _few_large(folder: Path, source: random.Random) -> None:
    folder.mkdir(parents=True)
    (folder / "film.bin").write_bytes(source.randbytes(LARGE_FILE_BYTES))
    with (folder / "sparse.img").open("wb") as sparse:
        sparse.truncate(8 * 1024 * 1024)
        sparse.seek(1024 * 1024)
        sparse.write(b"an island of data")


def make_database(path: Path, source: random.Random) -> None:
    """Make a SQLite database in WAL mode with two tables that must always agree: `SUM(entries) = total`."""
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            "CREATE TABLE entry (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL, note TEXT NOT NULL);"
            "CREATE TABLE total (amount INTEGER NOT NULL); INSERT INTO total VALUES (0);"
        )
        for _ in range(2000):
            book(connection, source.randrange(1, 1000), "opening " + "x" * source.randrange(200))
    connection.close()


def book(connection: sqlite3.Connection, amount: int, note: str) -> None:
    """Add one entry and the same amount to the total, in the caller's transaction."""
    connection.execute("INSERT INTO entry (amount, note) VALUES (?, ?)", (amount, note))
    connection.execute("UPDATE total SET amount = amount + ?", (amount,))


def books_agree(path: Path) -> int:
    """Return the number of entries; raises AssertionError when entries and total disagree (a torn copy)."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        count, amount = connection.execute("SELECT count(*), sum(amount) FROM entry").fetchone()
        (total,) = connection.execute("SELECT amount FROM total").fetchone()
    finally:
        connection.close()
    if amount != total:
        raise AssertionError(f"{path}: entries add up to {amount}, the total says {total}")
    return int(count)
