"""A database comes back as a database: whole or not at all, and what was there stays until then."""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
from pilotage_plugin_api import Refused, StepContext, StepFailed, TargetFailed
from pilotage_plugin_api.context import PLAIN_ENVIRONMENT
from pilotage_plugin_api.testing import Harness
from pilotage_plugin_api.testing.processes import gone_within, processes_marked
from pilotage_plugins.backup import database_restore, place_sqlite, pouring
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.database_restore import RestoreDatabase
from pilotage_plugins.backup.mysql_moves import MysqlServer
from pilotage_plugins.backup.place import beside
from pilotage_plugins.backup.place_mysql import MysqlPlace
from pilotage_plugins.backup.place_postgresql import PostgresPlace
from pilotage_plugins.backup.stored import StoredCopy
from pilotage_plugins.note import owed, shelf

from tests.integration.restic.conftest import restic_version
from tests.integration.restic.mariadb_site import MariaDB, running_mariadb, why_no_mariadb
from tests.integration.restic.postgres_site import Postgres, newest_programs, running_postgres

pytestmark = pytest.mark.integration

KEY = "exe_1/load/host1//run/1"
ANSWER = ["5000", "12502500"]


class Site(Protocol):
    """An engine with a place for databases. `stride`: of the moments to die at, so many are one step.
    `pours`: how often a load pours a dump into a client."""

    stride: int
    pours: int

    def make(self, name: str, rows: int = 5000) -> None:
        """Make a database with all that one can hold."""

    def of(self, name: str, **more: Any) -> dict[str, Any]:
        """Return what names it in a step."""

    def answer(self, name: str) -> list[str]:
        """Ask it whatever it can answer."""

    def drop(self, name: str) -> None:
        """Lose it."""

    def names(self) -> set[str]:
        """Return the names of all there is."""


class PostgresSite:
    stride = 1
    pours = 2  # the first reads how the database is made

    def __init__(self, server: Postgres) -> None:
        self.server = server
        server.sql("CREATE ROLE app LOGIN")

    def make(self, name: str, rows: int = 5000) -> None:
        self.server.sql(f"CREATE DATABASE \"{name}\" OWNER app ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
        self.server.sql(f"ALTER DATABASE \"{name}\" SET work_mem = '7777kB'")
        for statement in (
            "SET ROLE app; CREATE TABLE orders (id serial PRIMARY KEY, body text)",
            f"INSERT INTO orders (body) SELECT md5(n::text) FROM generate_series(1, {rows}) n",
            "CREATE VIEW few AS SELECT * FROM orders WHERE id < 100",
            "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2'",
        ):
            self.server.sql(statement, name)

    def of(self, name: str, **more: Any) -> dict[str, Any]:
        return {"engine": "postgresql", "name": name, "path": self.server.socket, **more}

    def answer(self, name: str) -> list[str]:
        told = self.server.sql(
            "SELECT count(*), sum(id), md5(string_agg(body, '' ORDER BY id)), (SELECT count(*) FROM few), twice(21),"
            " (SELECT tableowner FROM pg_tables WHERE tablename = 'orders'), current_setting('work_mem'),"
            " pg_encoding_to_char(encoding), datdba::regrole FROM orders, pg_database"
            " WHERE datname = current_database()"
            " GROUP BY encoding, datdba",
            name,
        )
        return told.split("|")

    def drop(self, name: str) -> None:
        self.server.sql(f'DROP DATABASE "{name}"')

    def names(self) -> set[str]:
        return set(self.server.sql("SELECT datname FROM pg_database").split("\n"))


class MariaSite:
    pours = 1
    stride = 4  # there are some twenty; 4 comes to all kinds of them

    def __init__(self, server: MariaDB) -> None:
        self.server = server

    def make(self, name: str, rows: int = 5000) -> None:
        self.server.sql(
            f"""CREATE DATABASE `{name}` CHARACTER SET latin1; USE `{name}`;
            CREATE TABLE customers (id int PRIMARY KEY) ENGINE=InnoDB; INSERT INTO customers VALUES (1);
            CREATE TABLE orders (id int PRIMARY KEY, body blob, customer int DEFAULT 1,
                CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers (id)) ENGINE=InnoDB;
            INSERT INTO orders (id, body) SELECT seq, UNHEX(MD5(seq)) FROM seq_1_to_{rows};
            CREATE TRIGGER never_null BEFORE INSERT ON orders FOR EACH ROW SET NEW.body = 'x';
            CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2;
            CREATE VIEW few AS SELECT id, twice(id) AS double_id FROM orders WHERE id < 100;
            CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM orders WHERE id < 0;"""
        )

    def of(self, name: str, **more: Any) -> dict[str, Any]:
        return {"engine": "mariadb", "name": name, "path": self.server.socket, **more}

    def answer(self, name: str) -> list[str]:
        self.server.sql("INSERT INTO orders (id, body) VALUES (-5, 'y')", name)
        told = self.server.sql(
            "SELECT COUNT(*) - 1, SUM(id) + 5, MD5(GROUP_CONCAT(HEX(body) ORDER BY id)),"
            " (SELECT SUM(double_id) FROM few),"
            " (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = DATABASE()),"
            " (SELECT COUNT(*) FROM information_schema.referential_constraints"
            "  WHERE constraint_schema = DATABASE() AND unique_constraint_schema = DATABASE()) FROM orders",
            name,
        )
        self.server.sql("DELETE FROM orders WHERE id = -5", name)
        return told.split("\t")

    def drop(self, name: str) -> None:
        self.server.sql(f"DROP DATABASE `{name}`")

    def names(self) -> set[str]:
        return set(self.server.sql("SHOW DATABASES").split("\n"))


class SqliteSite:
    stride = 1
    pours = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str, rows: int = 5000) -> None:
        with closing(sqlite3.connect(self.folder / name)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, body TEXT)")
            database.executemany("INSERT INTO orders VALUES (?, ?)", ((n, f"{n:x}") for n in range(1, rows + 1)))
            database.commit()
        os.chown(self.folder / name, 1234, 4321)
        (self.folder / name).chmod(0o660)

    def of(self, name: str, **more: Any) -> dict[str, Any]:
        return {"engine": "sqlite", "name": name, "path": str(self.folder / name), **more}

    def answer(self, name: str) -> list[str]:
        with closing(sqlite3.connect(f"file:{self.folder / name}?mode=rw", uri=True)) as database:
            [row] = database.execute("SELECT count(*), sum(id), group_concat(body) FROM orders").fetchall()
        return [str(value) for value in row]

    def drop(self, name: str) -> None:
        for path in self.folder.glob(f"{name}*"):
            path.unlink()

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}


@pytest.fixture(scope="module", params=["postgresql", "mariadb", "sqlite"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if request.param == "postgresql":
        if newest_programs() is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        with running_postgres() as postgres:
            yield PostgresSite(postgres)
    elif request.param == "mariadb":
        if reason := why_no_mariadb():
            pytest.skip(reason)
        with running_mariadb(tmp_path_factory.mktemp("maria")) as maria:
            yield MariaSite(maria)
    else:
        if restic_version() == (0, 18, 0):
            pytest.skip("restic 0.18.0 stores no stream under a path")
        yield SqliteSite(tmp_path_factory.mktemp("files"))


@pytest.fixture(autouse=True)
def _own_notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shelf, "state_folder", lambda: tmp_path / "state")


@pytest.fixture
def shop(site: Site, host: Harness, vault: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A database that is backed up, and what restores it; all that came of it goes in the end."""
    before = site.names()
    site.make("shop")
    host.run(BackupDatabase(), {**vault, "database": site.of("shop")})
    yield {**vault, "database": site.of("shop")}
    for name in site.names() - before:
        site.drop(name)


def killed_at(host: Harness, params: dict[str, Any], key: str, trap: Callable[[pytest.MonkeyPatch], None]) -> bool:
    """Run the step in a process of its own, in which the trap may kill it; say whether it did."""
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(BaseException):
            trap(patch)
            host.run(RestoreDatabase(), params, key=key)
        os._exit(0)
    host.attempts += 1
    _, status = os.waitpid(child, 0)
    for pid in processes_marked(host.marker):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    gone_within(host.marker, set(), 5.0)
    return os.WIFSIGNALED(status)


def in_the_middle_of_loading(patch: pytest.MonkeyPatch, pours: int) -> None:
    """Kill when the client has got something, or half a file has come; of several pourings, in the last."""
    genuine = pouring._pump
    left = pours

    async def pump(dump: Any, sink: int) -> None:
        nonlocal left
        left -= 1
        if left:
            await genuine(dump, sink)
            return
        stream = dump.stream

        async def cut() -> Any:
            async for chunk in stream():
                yield chunk[: len(chunk) // 2]
                os.kill(os.getpid(), signal.SIGKILL)

        dump.stream = cut
        await genuine(dump, sink)

    patch.setattr(pouring, "_pump", pump)
    patch.setattr(place_sqlite, "integrity_problems", lambda *_a, **_m: os.kill(os.getpid(), signal.SIGKILL))


def test_it_answers_as_before_and_an_undo_leaves_nothing(site: Site, host: Harness, shop: dict[str, Any]) -> None:
    before, answer = site.names() - {"shop"}, site.answer("shop")
    assert answer[:2] == ANSWER
    site.drop("shop")
    plan = host.preview(RestoreDatabase(), shop)
    assert (plan.complete, plan.changes[0].action) == (True, "create")
    made = host.run(RestoreDatabase(), shop, key=KEY)
    assert site.answer("shop") == answer
    assert site.names() == before | {"shop"}
    assert made["previous"] is None
    assert host.probe(RestoreDatabase(), shop, KEY)["answer"] == "done"
    assert host.recover(RestoreDatabase(), shop, KEY) == ""
    assert site.answer("shop") == answer
    for _ in range(2):
        host.undo(RestoreDatabase(), shop, made)
        assert site.names() == before


def test_one_that_is_not_empty_is_replaced_only_when_asked_and_comes_back(
    site: Site, host: Harness, shop: dict[str, Any]
) -> None:
    before, answer = site.names(), site.answer("shop")
    site.drop("shop")
    site.make("shop", 7)
    newer = site.answer("shop")
    with pytest.raises(TargetFailed, match="overwrite: true"):
        host.run(RestoreDatabase(), shop)
    assert (site.answer("shop"), site.names()) == (newer, before)
    made = host.run(RestoreDatabase(), {**shop, "overwrite": True}, key=KEY)
    assert site.answer("shop") == answer
    assert host.probe(RestoreDatabase(), shop, KEY)["outputs"]["placed"] == made["placed"]
    [kept] = site.names() - before
    assert Path(made["previous"]).name == kept
    assert site.answer(kept) == newer
    for _ in range(2):
        host.undo(RestoreDatabase(), shop, made)
        assert (site.answer("shop"), site.names()) == (newer, before)


def test_it_may_come_back_under_another_name_and_nothing_be_kept(
    site: Site, host: Harness, shop: dict[str, Any]
) -> None:
    before, answer = site.names(), site.answer("shop")
    site.make("other n-ü", 3)
    source = host.run(BackupDatabase(), shop)["path"]
    params = {**shop, "database": site.of("other n-ü")}
    with pytest.raises(StepFailed, match="name one as `source`"):
        host.run(RestoreDatabase(), {**params, "overwrite": True})
    params |= {"source": source, "overwrite": True, "keep_previous": False}
    made = host.run(RestoreDatabase(), params)
    assert site.answer("other n-ü") == answer
    assert site.names() == before | {"other n-ü"}
    with pytest.raises(Refused, match="was not kept"):
        host.undo(RestoreDatabase(), params, made)


def test_a_killed_load_leaves_what_was_there(site: Site, host: Harness, shop: dict[str, Any]) -> None:
    site.drop("shop")
    site.make("shop", 7)
    before, newer = site.names(), site.answer("shop")
    params = {**shop, "overwrite": True}
    assert killed_at(host, params, KEY, functools.partial(in_the_middle_of_loading, pours=site.pours))
    assert site.answer("shop") == newer
    assert site.names() > before
    assert host.recover(RestoreDatabase(), params, KEY)
    assert host.recover(RestoreDatabase(), params, KEY) == ""
    assert host.probe(RestoreDatabase(), params, KEY)["answer"] == "not_done"
    assert (site.answer("shop"), site.names()) == (newer, before)


def test_wherever_it_is_killed_one_of_both_is_there(site: Site, host: Harness, shop: dict[str, Any]) -> None:
    """Every change that taking the place makes, and every note of it, is a moment to die at."""
    answer = site.answer("shop")
    site.drop("shop")
    site.make("shop", 7)
    before, newer = site.names(), site.answer("shop")
    params = {**shop, "overwrite": True}
    outcomes: list[str] = []
    while True:
        number = 1 + len(outcomes) * site.stride
        key = f"exe_1/load/host1//run/{number}"
        if not killed_at(host, params, key, functools.partial(die_at_change, site=site, number=number)):
            break
        host.recover(RestoreDatabase(), params, key)
        probed = host.probe(RestoreDatabase(), params, key)
        outcomes.append(probed["answer"])
        if probed["answer"] == "done":
            assert site.answer("shop") == answer
            [kept] = site.names() - before
            assert site.answer(kept) == newer
            host.undo(RestoreDatabase(), params, probed["outputs"])
        assert (site.answer("shop"), site.names()) == (newer, before)
    assert outcomes == sorted(outcomes, reverse=True), "once it has taken the place, it stays"
    assert set(outcomes) == {"done", "not_done"}


def die_at_change(patch: pytest.MonkeyPatch, site: Site, number: int) -> None:
    """Die after the n-th change, from when all is loaded; what is loaded is made at once here, not from the vault."""
    left = number

    def counted(of: Any, name: str, is_change: Callable[..., bool] = lambda *_args: True) -> None:
        genuine = getattr(of, name)

        def count(args: Any) -> None:
            nonlocal left
            left -= is_change(*args)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        async def waited(*args: Any) -> Any:
            result = await genuine(*args)
            count(args)
            return result

        def plain(*args: Any) -> Any:
            result = genuine(*args)
            count(args)
            return result

        patch.setattr(of, name, waited if asyncio.iscoroutinefunction(genuine) else plain)

    async def load(place: Any, _copy: Any) -> None:
        site.make(place._beside.name if isinstance(site, SqliteSite) else beside(place.attempt))
        counted(shelf, "write")
        counted(owed, "write")
        counted(owed, "settle")
        counted(MysqlServer, "_client", lambda _self, said, *_more: not said.startswith(b"SELECT"))
        counted(PostgresPlace, "_sql", lambda _self, said, *_more: not said.startswith("SELECT"))
        for name in ("exchange", "_move_companions", "sync_folder"):
            counted(place_sqlite, name)

    @contextlib.asynccontextmanager
    async def no_repository(*_args: Any) -> AsyncIterator[None]:
        yield None

    async def no_copy(*_args: Any) -> Any:
        return SimpleNamespace(snapshot=SimpleNamespace(id="0" * 64), size=0)

    for kind in (MysqlPlace, PostgresPlace, place_sqlite.SqlitePlace):
        patch.setattr(kind, "load", load)
    patch.setattr(database_restore, "open_repository", no_repository)
    patch.setattr(database_restore, "find_stored", no_copy)


def test_what_cannot_be_loaded_is_told_and_leaves_what_was_there(
    site: Site, host: Harness, shop: dict[str, Any], vault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, answer = site.names(), site.answer("shop")
    overwriting = {**shop, "overwrite": True}
    (host.sandbox / "file").write_text("x")
    files = host.run(BackupCreate(), {**vault, "paths": [str(host.sandbox / "file")]})["snapshot_id"]
    for wanted, why in ((files, r"holds files .* restore it with backup\.restore"), ("0" * 16, "no snapshot begins")):
        with pytest.raises(StepFailed, match=why):
            host.run(RestoreDatabase(), {**overwriting, "snapshot": wanted})
    genuine = StoredCopy.write

    async def cut_off(copy: StoredCopy, ctx: StepContext, sink: int) -> str:
        """Write all but the end, as a pack that is damaged makes restic do, and end well."""
        whole = ctx.scratch / "whole"
        with whole.open("wb") as out:
            said = await genuine(copy, ctx, out.fileno())
        await asyncio.to_thread(Path(f"/proc/self/fd/{sink}").write_bytes, whole.read_bytes()[:-30])
        return said

    with monkeypatch.context() as patch:
        patch.setattr(StoredCopy, "write", cut_off)
        with pytest.raises(StepFailed):
            host.run(RestoreDatabase(), overwriting)
    assert (site.answer("shop"), site.names()) == (answer, before)
    if not isinstance(site, SqliteSite):
        host.secrets.contents["db/app"] = b"wrong"
        refused = {**overwriting, "database": site.of("shop", user="nobody"), "credentials": "secret://db/app"}
        with pytest.raises(StepFailed, match="refuses the login"):
            host.run(RestoreDatabase(), refused)
        monkeypatch.setitem(PLAIN_ENVIRONMENT, "PATH", str(only_restic(host.sandbox)))
        with pytest.raises(TargetFailed, match="Install it on this host"):
            host.run(RestoreDatabase(), overwriting)


def only_restic(folder: Path) -> Path:
    """Return a folder of programs without any client of a database."""
    (programs := folder / "programs").mkdir()
    for name in ("restic", "setpriv"):
        (programs / name).symlink_to(str(shutil.which(name)))
    return programs
