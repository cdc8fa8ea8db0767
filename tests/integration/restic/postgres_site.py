"""A PostgreSQL of the tests' own: in its own folder, on its own socket and port, ended with the tests."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")


def newest_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, as Debian lays them out; None without one."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[4])) if PROGRAMS.exists() else []
    return found[-1].parent if found else None


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    folder: Path
    port: int
    prefix: list[str]

    @property
    def socket(self) -> str:
        return str(self.folder / f".s.PGSQL.{self.port}")

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the superuser and return the answer as text."""
        told = subprocess.run(
            [*self.prefix, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p", str(self.port),
             "-d", database, "-c", statement],
            capture_output=True, text=True, timeout=60, cwd="/",
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Make a cluster, start its server, and end it."""
    programs = newest_programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/var/tmp"))
    prefix: list[str] = []
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        prefix = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--init-groups", "--"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    try:
        subprocess.run(
            [*prefix, programs / "initdb", "--no-sync", "--auth-local=peer", "--auth-host=scram-sha-256", "-E", "UTF8",
             "--locale=C.UTF-8", "-D", data],
            check=True, capture_output=True, timeout=120, cwd="/",
        )  # fmt: skip
        server = subprocess.Popen(
            [*prefix, programs / "postgres", "-D", data, "-k", folder, "-p", str(port), "-F", "-c",
             "listen_addresses=127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        try:
            ready = [*prefix, str(programs / "pg_isready"), "-q", "-t", "30", "-h", str(folder), "-p", str(port)]
            while subprocess.run(ready, cwd="/", check=False).returncode:
                assert server.poll() is None, "the server ended"
            yield Postgres(folder, port, prefix)
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
