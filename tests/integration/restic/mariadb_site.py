"""A MariaDB of the tests' own: in its own folder, on its own socket, ended with the tests."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("mariadbd", "mariadb-install-db", "mariadb-dump")


def why_no_mariadb() -> str:
    """Say what this machine lacks for it; empty when it has all."""
    if all(map(shutil.which, NEEDED)):
        return ""
    return "MariaDB is not installed: apt-get install mariadb-server-core mariadb-client"


@dataclass(frozen=True)
class MariaDB:
    """A running server."""

    socket: str

    def sql(self, statement: str, database: str = "") -> str:
        """Run statements as root and return the answer as text."""
        told = subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.socket}", "-BN", database],
            input=statement, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return told.stdout.strip()


@contextmanager
def running_mariadb(folder: Path) -> Iterator[MariaDB]:
    """Make a server's folder, start the server, and end it."""
    data, place = folder / "data", str(folder / "mysqld.sock")
    data.mkdir()
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    server = subprocess.Popen(
        ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={place}", "--skip-networking", "--user=root",
         "--innodb-flush-log-at-trx-commit=0", f"--pid-file={folder / 'pid'}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ping = ["mariadb-admin", "--no-defaults", f"--socket={place}", "ping"]
        while subprocess.run(ping, check=False, capture_output=True).returncode:
            assert server.poll() is None, "the server ended"
        yield MariaDB(place)
    finally:
        server.terminate()
        server.wait(30)
