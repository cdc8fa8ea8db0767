"""Databases of servers that run in containers: dumped and loaded by the container's own programs."""

import asyncio
import io
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from pilotage_plugin_api import StepCancelled, TargetFailed
from pilotage_plugin_api.invocation import run_step
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.database_restore import RestoreDatabase
from pilotage_plugins.backup.init import BackupInit
from pilotage_plugins.discovery.data import DiscoveryData

from tests.integration.docker.engine_site import EngineSite
from tests.integration.restic.cheap_key import PASSWORD, make_password_cheap
from tests.integration.restic.mariadb_site import why_no_mariadb
from tests.integration.restic.postgres_site import newest_programs

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(newest_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
    pytest.mark.skipif(bool(why_no_mariadb()), reason=why_no_mariadb()),
]

SECRET: Final = 'it\'s "a" p$ss\\word 9921'


@dataclass(frozen=True)
class Server:
    """A server in a container that is called like its engine. `client` reads statements."""

    site: EngineSite
    engine: str
    client: tuple[str, ...]

    def sql(self, statement: str, database: str = "", check: bool = True) -> str:
        argv = [*self.client, *([database] if database else [])]
        if self.engine == "postgresql":
            argv = [*self.client, f"--dbname={database or 'postgres'}"]
        return self.site.docker("exec", "-i", self.engine, *argv, stdin=statement.encode(), check=check)

    def of(self, database: str, **more: Any) -> dict[str, Any]:
        return {"engine": self.engine, "name": database, "container": self.engine, **more}

    def programs(self) -> str:
        return self.site.docker("top", self.engine, "-eo", "pid,args")


def make_image(engine: EngineSite, name: str, variable: str) -> None:
    """Make an image that is nothing but the links of a Debian, for this machine's programs, and a variable."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for each in ("usr", "etc", "tmp", "run", "data"):
            folder = tarfile.TarInfo(each)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(folder)
        usr = {each: f"usr/{each}" for each in ("bin", "sbin", "lib", "lib64")}
        for each, where in {**usr, "var/run": "/run"}.items():
            link = tarfile.TarInfo(each)
            link.type, link.linkname = tarfile.SYMTYPE, where
            tar.addfile(link)
        users = b"root:x:0:0::/:/bin/sh\npostgres:x:101:101::/data:/bin/sh\n"
        passwd = tarfile.TarInfo("etc/passwd")
        passwd.size = len(users)
        tar.addfile(passwd, io.BytesIO(users))
    engine.docker("import", "-c", f"ENV {variable}", "-", f"test/{name}", stdin=packed.getvalue())


@pytest.fixture
def postgres(engine: EngineSite) -> Server:
    make_image(engine, "postgresql", "PGDATA=/data/pg")
    serve = (
        "initdb --no-sync --auth=trust --username=keeper --locale=C.UTF-8 >/dev/null"
        " && exec postgres -F -c listen_addresses= -k /run/postgresql"
    )
    path = f"PATH={newest_programs()}:/usr/bin:/bin"
    run_server(engine, "postgresql", path, "POSTGRES_USER=keeper", serve, "--user", "postgres")
    server = Server(engine, "postgresql", ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "keeper"))
    answers_in_time(engine, "postgresql", "pg_isready")
    server.sql("CREATE DATABASE shop")
    server.sql("CREATE TABLE orders AS SELECT n id, md5(n::text) body FROM generate_series(1, 3000) n", "shop")
    return server


@pytest.fixture
def mariadb(engine: EngineSite) -> Server:
    make_image(engine, "mariadb", "MARIADB_VERSION=10.11")
    serve = (
        "mariadb-install-db --no-defaults --datadir=/data/maria --user=root --skip-test-db >/dev/null"
        " && exec mariadbd --no-defaults --datadir=/data/maria --user=root --skip-networking"
        " --socket=/run/mysqld/mysqld.sock --innodb-flush-log-at-trx-commit=0"
    )
    run_server(engine, "mariadb", "PATH=/usr/sbin:/usr/bin:/bin", f"MARIADB_ROOT_PASSWORD={SECRET}", serve)
    server = Server(engine, "mariadb", ("sh", "-c", 'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" exec mariadb -BN "$@"', "sh"))
    answers_in_time(engine, "mariadb", "mariadb-admin", "ping")
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.orders (id int PRIMARY KEY, body text) ENGINE=InnoDB;")
    server.sql("INSERT INTO orders SELECT seq, MD5(seq) FROM seq_1_to_3000", "shop")
    quoted = SECRET.replace("\\", "\\\\").replace("'", "''")
    server.sql(f"CREATE USER keeper@localhost IDENTIFIED BY '{quoted}'; GRANT ALL ON *.* TO keeper@localhost;")
    server.sql(f"ALTER USER root@localhost IDENTIFIED BY '{quoted}'")
    return server


@pytest.fixture
def vault(host: Harness, tmp_path: Path) -> dict[str, Any]:
    host.secrets.contents |= {"restic": PASSWORD, "db": SECRET.encode()}
    vault = {"repository": str(tmp_path / "repository"), "password": "secret://restic"}
    host.run(BackupInit(), vault)
    make_password_cheap(tmp_path / "repository", PASSWORD)
    return vault


def run_server(engine: EngineSite, name: str, path: str, told: str, serve: str, *options: str) -> None:
    engine.docker(
        "run", "-d", "--name", name, "-v", "/usr:/usr:ro", "--tmpfs", "/data:mode=777", "--tmpfs", "/run:mode=777",
        "-e", path, "-e", told, "--stop-signal", "SIGKILL", *options, f"test/{name}",
        "/bin/sh", "-c", f"mkdir /run/postgresql /run/mysqld && {serve}",
    )  # fmt: skip


def answers_in_time(engine: EngineSite, name: str, *ping: str) -> None:
    """Wait for a server; one that ends says why."""
    while not any(word in engine.docker("exec", name, *ping, check=False) for word in ("accepting", "alive")):
        assert engine.inspect(name)["State"]["Running"], engine.said(name)


def wait_for(is_so: Callable[[], object], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up, "it does not come"
        time.sleep(0.05)


QUESTION: Final = "SELECT count(*), sum(id), max(body) FROM orders"


@pytest.mark.parametrize(("kind", "user"), [("postgres", None), ("mariadb", None), ("mariadb", "keeper")], ids=str)
def test_a_database_goes_into_a_backup_and_comes_back(
    host: Harness, vault: dict[str, Any], tmp_path: Path, kind: str, user: str | None, request: pytest.FixtureRequest
) -> None:
    """Without a user as the superuser, of whom the image was told."""
    server: Server = request.getfixturevalue(kind)
    login = {"user": user} if user else {}
    given = {"credentials": "secret://db"} if user else {}
    before = server.sql(QUESTION, "shop")
    found = host.run(DiscoveryData(), {"roots": [str(tmp_path)], "kinds": ["containers"]})["databases"]
    [shop] = [each for each in found if each["name"] == "shop"]
    assert shop.pop("bytes") > 0
    assert shop == {**server.of("shop"), "path": None}
    made = host.run(BackupDatabase(), {**vault, **given, "database": server.of("shop", **login)})
    port, ending = (5432, "dump") if kind == "postgres" else (3306, "sql")
    family = "postgresql" if kind == "postgres" else "mysql"
    assert made["path"] == f"/{family}-container={server.engine}:{port}-shop.{ending}"
    assert f"docker exec --interactive {server.engine} " in made["restore_with"]
    assert SECRET not in host.seen(made)
    server.sql("DELETE FROM orders WHERE id > 10", "shop")
    wanted = {**vault, **given, "database": server.of("shop", **login)}
    with pytest.raises(TargetFailed, match="overwrite"):
        host.run(RestoreDatabase(), wanted)
    restored = host.run(RestoreDatabase(), {**wanted, "overwrite": True})
    assert server.sql(QUESTION, "shop") == before
    host.undo(RestoreDatabase(), {**wanted, "overwrite": True}, restored)
    assert server.sql(QUESTION, "shop").split("|" if kind == "postgres" else "\t")[0] == "10"


def test_a_dump_that_nobody_wants_any_more_ends_in_the_container_too(
    host: Harness, vault: dict[str, Any], postgres: Server
) -> None:
    """It waits for a table that another session has locked; the docker program that asked for it is killed."""
    locking = ("BEGIN; LOCK TABLE orders; SELECT pg_sleep(600)", "shop", False)
    holder = threading.Thread(target=postgres.sql, args=locking, daemon=True)
    holder.start()
    wait_for(lambda: postgres.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'") != "0")
    try:
        asyncio.run(cancelled_at_work(host, {**vault, "database": postgres.of("shop")}, postgres))
        wait_for(lambda: "pg_dump" not in postgres.programs(), 10)
    finally:
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        holder.join(10)


async def cancelled_at_work(host: Harness, params: dict[str, Any], server: Server) -> None:
    scratch = host.scratch_root / "cancelled"
    scratch.mkdir()
    cancel = asyncio.Event()
    ctx = host.context("exe_1/db/host1//run/1", scratch, cancel=cancel)
    dumping = asyncio.create_task(run_step(BackupDatabase(), ctx, params))
    while "pg_dump" not in await asyncio.to_thread(server.programs):
        assert not dumping.done()
    cancel.set()
    with pytest.raises(StepCancelled):
        await dumping


def test_what_the_container_lacks_is_said(
    host: Harness, vault: dict[str, Any], postgres: Server, start: Callable[..., dict[str, Any]]
) -> None:
    start("plain", "bb:base")
    for change, words in (
        ({"container": "nobody"}, "there is no container nobody on this host"),
        ({"container": "plain"}, "the container plain lacks a program for it"),
        ({"name": "nowhere"}, "does not exist"),
    ):
        with pytest.raises(TargetFailed, match=words):
            host.run(BackupDatabase(), {**vault, "database": postgres.of("shop", **change)})
    postgres.site.docker("stop", "-t", "0", "postgresql")
    with pytest.raises(TargetFailed, match="does not run"):
        host.run(BackupDatabase(), {**vault, "database": postgres.of("shop")})
