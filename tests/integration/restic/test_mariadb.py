"""A database of MariaDB: dumped while it is in use, and never half."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pilotage_plugin_api import StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup import mysql, trial
from pilotage_plugins.backup.database import BackupDatabase
from pilotage_plugins.backup.drill import RestoreDrill
from pilotage_plugins.backup.listing import BackupList
from pilotage_plugins.backup.restore import BackupRestore
from pilotage_plugins.discovery.data import DiscoveryData

from tests.integration.restic.mariadb_site import MariaDB, running_mariadb, why_no_mariadb

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(why_no_mariadb()), reason=why_no_mariadb()),
]

SECRET = 'a"b\\c#d e 7713'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with running_mariadb(tmp_path_factory.mktemp("maria")) as started:
        started.sql("CREATE DATABASE app; USE app; CREATE TABLE orders (id int PRIMARY KEY, body blob) ENGINE=InnoDB;")
        started.sql("INSERT INTO orders SELECT seq, UNHEX(MD5(seq)) FROM seq_1_to_5000", "app")
        started.sql("CREATE TRIGGER never_null BEFORE INSERT ON orders FOR EACH ROW SET NEW.body = 'x'", "app")
        started.sql("CREATE USER reader@localhost IDENTIFIED BY '" + SECRET.replace("\\", "\\\\") + "'")
        started.sql("GRANT SELECT, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT ON app.* TO reader@localhost")
        yield started


def of(server: MariaDB, **more: Any) -> dict[str, Any]:
    return {"engine": "mariadb", "name": "app", "path": server.socket, **more}


def test_a_dump_comes_back_and_its_drill_loads_and_asks_it(
    host: Harness, vault: dict[str, Any], server: MariaDB, tmp_path: Path
) -> None:
    host.secrets.contents["db/app"] = SECRET.encode()
    params = {**vault, "database": of(server, user="reader"), "credentials": "secret://db/app"}
    made = host.run(BackupDatabase(), params)
    assert made["path"] == "/mysql-3306-app.sql"
    assert SECRET not in host.seen(made)
    host.run(BackupRestore(), {**vault, "target": str(tmp_path / "out")})
    server.sql("CREATE DATABASE copy")
    server.sql(Path(f"{tmp_path}/out{made['path']}").read_text(), "copy")
    question = "SELECT COUNT(*), SUM(id), MD5(GROUP_CONCAT(HEX(body) ORDER BY id)) FROM orders"
    assert server.sql(question, "copy") == server.sql(question, "app")
    server.sql("DROP DATABASE copy")
    before = set(trial.SERVER_BASE.iterdir())
    query = "SELECT COUNT(*), SUM(id) FROM orders"
    [drilled] = host.run(RestoreDrill(), {**vault, "query": query})["snapshots"]
    assert (drilled["integrity"], drilled["tables"], drilled["rows"]) == ("loaded", 1, 5000)
    assert drilled["answer"] == server.sql(query, "app")
    assert set(trial.SERVER_BASE.iterdir()) == before


def try_dump(host: Harness, text: str, query: str | None = None) -> trial.Tried:
    dump = host.scratch_root / "dump.sql"
    dump.write_text(text)
    folder = host.scratch_root / "attempt"
    folder.mkdir(exist_ok=True)
    ctx = host.context("exe_1/drill/host1//run/1", folder)
    return asyncio.run(trial.put_to_the_test(ctx, "mariadb", dump, "0123456789abcdef", None, query))


def test_a_drill_does_nothing_that_a_dump_asks_of_the_system(host: Harness) -> None:
    """Whoever may name a table writes into the dump: neither the client's commands nor the server's files obey it."""
    mark = Path("/var/tmp/pilotage-test-mark")
    mark.unlink(missing_ok=True)
    for line in (f"\\! touch {mark}", f"SELECT 'x' INTO OUTFILE '{mark}';"):
        with pytest.raises(StepFailed, match="loading the dump"):
            try_dump(host, f"-- MariaDB dump 10.19\nCREATE TABLE t (id int);\n{line}\n")
        assert not mark.exists()


def test_a_dump_that_does_not_load_fails_and_one_of_mysql_is_told_as_not_loaded(host: Harness) -> None:
    with pytest.raises(StepFailed, match=r"loading the dump: [\s\S]*syntax"):
        try_dump(host, "-- MariaDB dump 10.19\nCREATE TABBLE t (id int);\n")
    assert try_dump(host, "-- MySQL dump 8.0\n").integrity.startswith(
        "complete; not loaded: it was not made by MariaDB"
    )
    with pytest.raises(StepFailed, match="answers no query"):
        try_dump(host, "-- MySQL dump 8.0\n", "SELECT 1")


def test_a_dump_without_its_end_leaves_no_snapshot(
    host: Harness, vault: dict[str, Any], server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump program that ends well in the middle of its work: it says nothing, and its last line is missing."""
    monkeypatch.setattr(mysql, "DUMP_OPTIONS", (*mysql.DUMP_OPTIONS, "--skip-comments"))
    with pytest.raises(StepFailed, match="its dump has no end"):
        host.run(BackupDatabase(), {**vault, "database": of(server)})
    assert host.run(BackupList(), vault)["total"] == 0


def test_what_a_server_refuses_is_said(host: Harness, vault: dict[str, Any], server: MariaDB) -> None:
    host.secrets.contents["db/app"] = b"wrong"
    with pytest.raises(StepFailed, match="refuses the login"):
        host.run(
            BackupDatabase(),
            {**vault, "database": of(server, user="reader"), "credentials": "secret://db/app"},
        )
    with pytest.raises(TargetFailed, match="Unknown database"):
        host.run(BackupDatabase(), {**vault, "database": of(server, name="--help")})


def test_tables_that_no_transaction_protects_are_named(host: Harness, vault: dict[str, Any], server: MariaDB) -> None:
    server.sql("CREATE DATABASE old; CREATE TABLE old.loose (id int) ENGINE=MyISAM")
    made = host.run(BackupDatabase(), {**vault, "database": of(server, name="old")})
    assert "loose" in made["warnings"][0]


def test_discovery_lists_its_databases(host: Harness, server: MariaDB) -> None:
    folder = str(Path(server.socket).parent)
    found = host.run(DiscoveryData(), {"roots": [str(host.sandbox)], "kinds": ["servers"], "sockets": [folder]})
    assert found["unreadable"] == []
    assert "app" in [database["name"] for database in found["databases"]]
