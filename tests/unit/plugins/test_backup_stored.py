"""Which stored copy of a database is meant, and what its path and its dump's head say."""

from datetime import UTC, datetime

import pytest
from pilotage_plugin_api import StepFailed
from pilotage_plugins.backup import database
from pilotage_plugins.backup.place import before, beside
from pilotage_plugins.backup.place_postgresql import _read_properties
from pilotage_plugins.backup.server import Database, Engine, database_name
from pilotage_plugins.backup.snapshots import MANIFEST, OURS, Snapshot, manifest_tags
from pilotage_plugins.backup.stored import choose

SHOP = "/postgresql-5432-shop.dump"


def copy(number: int, path: str = SHOP, engine: str | None = "postgresql", host: str = "db1") -> Snapshot:
    tags = (OURS, *([f"database:{engine}"] if engine else []))
    return Snapshot(f"{number:064x}"[::-1], datetime(2026, 1, number, tzinfo=UTC), host, (path,), tags)


def note(of: Snapshot) -> Snapshot:
    return Snapshot("f" * 64, of.time, of.host, ("/m",), (MANIFEST, *manifest_tags(of.id, 1, 5)))


OLD, NEW, CUT, FILES, OTHER = copy(1), copy(2), copy(3), copy(4, "/srv", None), copy(5, "/mysql-3306-a.sql", "mysql")
DATA, NOTES = [OLD, NEW, CUT, FILES, OTHER], [note(one) for one in (OLD, NEW, OTHER)]


def test_latest_is_the_newest_whole_copy_of_that_database() -> None:
    assert choose(DATA, NOTES, "latest", SHOP, Engine.POSTGRESQL, "db1") == NEW
    assert choose(DATA, NOTES, OLD.id[:8], "/elsewhere", Engine.POSTGRESQL, "db9") == OLD
    assert choose(DATA, NOTES, OTHER.id, "", Engine.MARIADB, "db1") == OTHER


@pytest.mark.parametrize(
    ("wanted", "path", "engine", "host", "why"),
    [
        ("latest", "/postgresql-5432-blog.dump", Engine.POSTGRESQL, "db1", f"'{SHOP}': name one as `source`"),
        ("latest", SHOP, Engine.POSTGRESQL, "db2", "no whole copy of the database"),
        (CUT.id, SHOP, Engine.POSTGRESQL, "db1", "cut off"),
        (FILES.id, SHOP, Engine.POSTGRESQL, "db1", r"holds files \(/srv\)"),
        (OTHER.id, SHOP, Engine.POSTGRESQL, "db1", "which postgresql cannot load"),
        ("e" * 8, SHOP, Engine.POSTGRESQL, "db1", "no snapshot begins with"),
    ],
)
def test_what_is_no_good_copy_is_refused(wanted: str, path: str, engine: Engine, host: str, why: str) -> None:
    with pytest.raises(StepFailed, match=why):
        choose(DATA, NOTES, wanted, path, engine, host)


@pytest.mark.parametrize("name", ["shop", "we:ird/na me-5432-x.dump", "ü%41"])
@pytest.mark.parametrize(
    "place",
    [{"path": "/run/.s.PGSQL.5433"}, {"host": "db-1.example", "port": 7}, {"host": "::1"}, {"container": "a_b.c-d"}],
)
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_the_path_of_a_copy_tells_the_name(name: str, place: dict[str, object], engine: str) -> None:
    stored = database.snapshot_path(Database.model_validate({"engine": engine, "name": name, **place}))
    assert database_name(stored) == name
    assert database_name("/srv/app.db") == "/srv/app.db"


HEAD = """
CREATE DATABASE "we WITH ""ird" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8';
ALTER DATABASE "we WITH ""ird" OWNER TO app;
\\connect -reuse-previous=on "dbname='we WITH \\"ird'"
ALTER DATABASE "we WITH ""ird" SET search_path TO 'app', 'public';
COMMENT ON DATABASE "we WITH ""ird" IS 'DATABASE other';
ALTER DATABASE other SET work_mem TO '1GB';
GRANT CONNECT ON DATABASE "we WITH ""ird" TO app;
"""


def test_a_dump_says_how_its_database_is_made() -> None:
    how, properties = _read_properties(HEAD, "new", owners=True)
    assert how == "TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8'"
    assert properties == [
        'ALTER DATABASE "new" OWNER TO app;',
        "ALTER DATABASE \"new\" SET search_path TO 'app', 'public';",
        "COMMENT ON DATABASE \"new\" IS 'DATABASE other';",
        'GRANT CONNECT ON DATABASE "new" TO app;',
    ]
    assert len(_read_properties(HEAD, "new", owners=False)[1]) == 2
    with pytest.raises(StepFailed, match="does not say how"):
        _read_properties("SET x = y;", "new", owners=True)


def test_names_beside_the_place_fit_every_engine() -> None:
    assert beside("exe_1/load/h//run/1") != beside("exe_1/load/h//run/2")
    kept = before("ü" * 60, "exe_1/load/h//run/1", 63)
    assert len(kept.encode()) <= 63
    assert "_before_" in kept
