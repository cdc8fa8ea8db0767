"""Databases of servers: dumped while they are in use, and never half."""

import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import InfrastructureFailed, Refused, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup import postgresql
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.prune import BackupPrune
from pilotage_plugins.backup.restore import BackupRestore
from pilotage_plugins.discovery.data import DiscoveryData

from tests.integration.restic.cheap_key import PASSWORD
from tests.integration.restic.postgres_site import Postgres, newest_programs, running_postgres

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(newest_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
]

SECRET = "p:a\\ss'w\"örd 5512"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        running.sql(f"CREATE ROLE app LOGIN PASSWORD $${SECRET}$$")
        running.sql("CREATE DATABASE app OWNER app")
        running.sql("CREATE TABLE orders (id int PRIMARY KEY, body text)", "app")
        running.sql("INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 5000) n", "app")
        running.sql("GRANT SELECT ON orders TO app", "app")
        running.sql("CREATE DATABASE big")
        running.sql(
            "CREATE TABLE a AS SELECT n, (SELECT string_agg(md5(random()::text || n || k), '')"
            " FROM generate_series(1, 40) k) body FROM generate_series(1, 30000) n", "big"
        )  # fmt: skip
        yield running


def of(server: Postgres, name: str, **more: Any) -> dict[str, Any]:
    return {"engine": "postgresql", "name": name, "path": server.socket, **more}


def listed(host: Harness, vault: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = host.run(BackupList(), {**vault, "newest_only": False})["snapshots"]
    return found


def test_a_dump_restores_by_the_servers_own_program(
    host: Harness, vault: dict[str, Any], server: Postgres, tmp_path: Path
) -> None:
    made = host.run(BackupDatabase(), {**vault, "database": of(server, "app")}, key="exe_1/db/host1//run/1")
    assert made["path"] == f"/postgresql-{server.port}-app.dump"
    host.run(BackupRestore(), {**vault, "target": str(tmp_path / "out")})
    dump = Path(f"{tmp_path}/out{made['path']}")
    assert dump.stat().st_size == made["bytes_processed"]
    server.sql("CREATE DATABASE copy")
    with dump.open("rb") as stored:
        subprocess.run(
            [*server.prefix, "pg_restore", "-h", server.folder, "-p", str(server.port), "-d", "copy", "-e"],
            stdin=stored, check=True, cwd="/",
        )  # fmt: skip
    question = "SELECT count(*), sum(id), md5(string_agg(body, '' ORDER BY id)) FROM orders"
    assert server.sql(question, "copy") == server.sql(question, "app")
    answer = host.probe(BackupDatabase(), {**vault, "database": of(server, "app")}, "exe_1/db/host1//run/1")
    assert (answer["answer"], answer["outputs"]["snapshot_id"]) == ("done", made["snapshot_id"])


def test_a_password_is_seen_by_nobody(host: Harness, vault: dict[str, Any], server: Postgres) -> None:
    host.secrets.contents["db/app"] = SECRET.encode()
    database = {"engine": "postgresql", "name": "app", "host": "127.0.0.1", "port": server.port, "user": "app"}
    seen: list[bytes] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    if b"pg_dump" in (argv := (entry / "cmdline").read_bytes()):
                        seen.append(argv + (entry / "environ").read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        made = host.run(BackupDatabase(), {**vault, "database": database, "credentials": "secret://db/app"})
    finally:
        stop.set()
        watcher.join()
    assert made["path"] == f"/postgresql-127.0.0.1:{server.port}-app.dump"
    assert seen, "pg_dump was not seen at work"
    assert not any(SECRET.encode() in one for one in seen)
    assert SECRET not in host.seen(made)
    host.secrets.contents["db/app"] = b"wrong"
    with pytest.raises(StepFailed, match="refuses the login"):
        host.run(BackupDatabase(), {**vault, "database": database, "credentials": "secret://db/app"})


def test_what_a_server_refuses_is_said_and_leaves_nothing(
    host: Harness, vault: dict[str, Any], server: Postgres
) -> None:
    with pytest.raises(TargetFailed, match="does not exist"):
        host.run(BackupDatabase(), {**vault, "database": of(server, "nowhere")})
    with pytest.raises(TargetFailed, match="does not exist"):
        host.run(BackupDatabase(), {**vault, "database": of(server, "dbname=app host=127.0.0.1")})
    down = {"engine": "postgresql", "name": "app", "host": "127.0.0.1", "port": 9}
    with pytest.raises(InfrastructureFailed, match="cannot be reached"):
        host.run(BackupDatabase(), {**vault, "database": down})
    with pytest.raises(TargetFailed, match="no system user"):
        host.run(BackupDatabase(), {**vault, "database": of(server, "app", run_as="nobody at all")})
    assert listed(host, vault) == []


def test_a_dump_that_fails_in_the_middle_leaves_no_snapshot(
    host: Harness, vault: dict[str, Any], server: Postgres
) -> None:
    """The server ends pg_dump's session while it copies; restic has taken megabytes by then."""
    killed: list[str] = []
    statement = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'pilotage' AND query LIKE 'COPY public.a%'"
    )
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set() and not killed:
            if (count := server.sql(statement)) != "0":
                killed.append(count)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises((StepFailed, InfrastructureFailed), match="could not be dumped"):
            host.run(BackupDatabase(), {**vault, "database": of(server, "big")})
    finally:
        stop.set()
        killer.join()
    assert killed
    assert listed(host, vault) == []
    assert not any(Path(vault["repository"], "locks").iterdir())
    host.run(BackupDatabase(), {**vault, "database": of(server, "big")})
    assert [one["whole"] for one in listed(host, vault)] == [True]


def test_a_worker_that_is_killed_leaves_no_snapshot_that_counts(
    host: Harness, vault: dict[str, Any], server: Postgres, tmp_path: Path
) -> None:
    """SIGKILL closes the stream, and restic takes that for its end: what it stores is cut off, and known as such."""
    key = "exe_1/db/host1//run/1"
    params = {**vault, "database": of(server, "big")}
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from pilotage_plugin_api.testing import Harness
        from pilotage_plugins.backup import dump
        from pilotage_plugins.backup.database import BackupDatabase
        (folder := Path({str(tmp_path / "worker")!r})).mkdir()
        harness = Harness.in_folder(folder)
        harness.secrets.contents["restic"] = {PASSWORD!r}
        genuine = dump.Dump.stream
        async def stream(self):
            async for chunk in genuine(self):
                yield chunk
                if self.bytes > 4_000_000:
                    os.kill(os.getpid(), signal.SIGKILL)
        dump.Dump.stream = stream
        harness.run(BackupDatabase(), {params!r}, key={key!r})
    """)
    worker = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=120)
    assert worker.returncode == -9, worker.stderr
    locks = Path(vault["repository"], "locks")
    snapshots = Path(vault["repository"], "snapshots")
    while any(locks.iterdir()):
        pass
    assert len(list(snapshots.iterdir())) == 1, "restic stored what it had, as it cannot know better"
    assert [one["whole"] for one in listed(host, vault)] == [False]
    assert host.probe(BackupDatabase(), params, key)["answer"] == "not_done"
    with pytest.raises(StepFailed, match="no whole snapshot"):
        host.run(BackupRestore(), {**vault, "target": str(tmp_path / "out")})
    held = host.run(BackupPrune(), {**vault, "keep": {"last": 1}})
    assert (held["removed"], held["held"]) == (0, [f"/postgresql-{server.port}-big.dump"])
    host.run(BackupDatabase(), params)
    assert host.run(BackupPrune(), {**vault, "keep": {"last": 5}})["removed"] == 1
    assert [one["whole"] for one in listed(host, vault)] == [True]


@pytest.mark.parametrize(
    "database",
    [
        {"engine": "oracle", "name": "app", "path": "/x"},
        {"engine": "postgresql", "name": "app"},
        {"engine": "postgresql", "name": "app", "path": "/x", "host": "y"},
        {"engine": "sqlite", "name": "app", "host": "y"},
        {"engine": "mysql", "name": "a\nb", "host": "y"},
    ],
)
def test_what_cannot_be_a_database_is_refused(host: Harness, vault: dict[str, Any], database: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="database"):
        host.run(BackupDatabase(), {**vault, "database": database})


def test_a_drill_loads_a_dump_and_asks_it(host: Harness, vault: dict[str, Any], server: Postgres) -> None:
    host.run(BackupDatabase(), {**vault, "database": of(server, "app")})
    before = host.living_children()
    drilled = host.run(RestoreDrill(), {**vault, "query": "SELECT count(*), max(id) FROM orders"})
    [evidence] = drilled["snapshots"]
    assert (evidence["kind"], evidence["integrity"], evidence["answer"]) == ("postgresql", "loaded", "5000|5000")
    assert (evidence["tables"], evidence["rows"], drilled["files_identical"]) == (1, 5000, 1)
    assert drilled["rto_s"] > 0
    assert not host.left_behind(before)
    assert not list(Path("/var/tmp").glob("pilotage-*"))
    with pytest.raises(StepFailed, match='relation "nothing" does not exist'):
        host.run(RestoreDrill(), {**vault, "query": "SELECT * FROM nothing"})


def test_a_drill_finds_a_dump_that_does_not_load(
    host: Harness, vault: dict[str, Any], server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump without its rows is what was backed up, byte for byte, and of no use: only loading it tells."""
    monkeypatch.setattr(postgresql, "DUMP", (*postgresql.DUMP, "--section=data"))
    host.run(BackupDatabase(), {**vault, "database": of(server, "app")})
    with pytest.raises(StepFailed, match="loading the dump"):
        host.run(RestoreDrill(), vault)


def test_discovery_asks_servers_and_what_it_finds_can_be_backed_up(
    host: Harness, vault: dict[str, Any], server: Postgres
) -> None:
    params = {"roots": [str(host.sandbox)], "kinds": ["servers"], "sockets": [str(server.folder), "/nowhere"]}
    found = host.run(DiscoveryData(), params)
    assert found["unreadable"] == []
    assert {"app", "big", "postgres"} <= {database["name"] for database in found["databases"]}
    [app] = [database for database in found["databases"] if database["name"] == "app"]
    assert app["path"] == server.socket
    assert app["bytes"] > 5_000_000
    host.run(BackupDatabase(), {**vault, "database": app})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(host.sandbox / ".s.PGSQL.5999"))
    silent = host.run(DiscoveryData(), {**params, "sockets": [str(host.sandbox)]})
    assert silent["databases"] == []
    assert "cannot be reached" in silent["unreadable"][0]
