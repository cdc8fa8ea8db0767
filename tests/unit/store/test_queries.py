import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pilotage_coordinator.store.sqlite as room
import pytest
from pilotage_coordinator.store.sqlite.connection import open_memory
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.schema import install

QUERIES = Queries()


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(open_memory()) as connection:
        install(connection, QUERIES, "coo_1", 0)
        yield connection


def plan(connection: sqlite3.Connection, name: str) -> str:
    statement = QUERIES[name]
    named = set(re.findall(r":([a-z_]+)", statement))
    parameters: object = dict.fromkeys(named) if named else [None] * statement.count("?")
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()  # type: ignore[arg-type]
    return " | ".join(row[3] for row in rows)


@pytest.mark.parametrize("name", QUERIES.names())
def test_every_query_fits_the_schema_and_is_used(connection: sqlite3.Connection, name: str) -> None:
    plan(connection, name)
    source = "".join(file.read_text() for file in Path(str(room.__file__)).parent.glob("*.py"))
    assert f'"{name}"' in source


def test_every_query_that_is_used_exists() -> None:
    for file in Path(str(room.__file__)).parent.glob("*.py"):
        for name in re.findall(r'queries\["([a-z_]+)"\]|\.rows?\("([a-z_]+)"', file.read_text()):
            assert (name[0] or name[1]) in QUERIES.names()


# Those whose cost is the table, and why that is right.
SCANS = {
    "blueprint_lines",  # every blueprint is in the answer
    "metrics_all",  # blueprints x statuses
    "hosts_active",  # the inventory: every host is in the answer
    "proofs_passed",  # at most four rows for each host of the fleet
    "schedules_standing",  # every schedule: only the doctor asks
    "secrets_all",
    "principals_all",  # people and their tools: every one is in the answer
    "grants_all",
    "roles_all",
    "person_signs",  # the keys of one person
    "other_person",  # people: until the first one but one, and only where somebody approves alone
    "tokens_all",
    "schema_versions",
    "epoch_get",
    "epoch_next",
    "coordinator_id",
    "delivery_channels",  # an index of what waits for delivery
    "step_type_sets_remove_unused",  # one row for each set of plugins in the fleet
}


@pytest.mark.parametrize("name", [name for name in QUERIES.names() if name not in SCANS])
def test_no_query_scans_a_table_or_sorts_history(connection: sqlite3.Connection, name: str) -> None:
    found = plan(connection, name)
    ranged = {"executions_newest", "executions_active", "hosts_page", "audit_head", "audit_newest"}
    ranged |= {"policy_newest", "recoveries_newest"}
    if name not in ranged:
        assert not re.search(r"\bSCAN (?!CONSTANT)", found), found
    assert "TEMP B-TREE" not in found, found


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("executions_of_blueprint", "executions_by_blueprint (blueprint_id=? AND rowid>? AND rowid<?)"),
        ("executions_in_status", "executions_by_status (status=? AND rowid>? AND rowid<?)"),
        (
            "executions_of_blueprint_in_status",
            "executions_by_blueprint_status (blueprint_id=? AND status=? AND rowid>? AND rowid<?)",
        ),
        ("executions_first_since", "COVERING INDEX executions_by_creation (created_at>?)"),
        ("executions_newest", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        ("executions_active", "executions_active"),
        ("executions_prunable", "executions_by_end (ended_at>? AND ended_at<?)"),
        ("events_after", "PRIMARY KEY (execution=? AND sequence>?)"),
        ("step_runs_all", "PRIMARY KEY (execution=? AND (path,host,item)>(?,?,?))"),
        ("step_runs_of_path", "PRIMARY KEY (execution=? AND path=? AND host>?)"),
        ("step_runs_of_host", "step_runs_by_host (host=? AND execution=? AND (path,item)>(?,?))"),
        ("step_runs_in_status", "step_runs_by_status (execution=? AND status=? AND (path,host,item)>(?,?,?))"),
        ("attempt_keys_of_path", "PRIMARY KEY (execution=? AND path=? AND (host,item,kind,attempt)>(?,?,?,?))"),
        ("attempt_keys_on_host", "PRIMARY KEY (execution=? AND path=? AND host=? AND (item,kind,attempt)>(?,?,?))"),
        ("attempts_open", "COVERING INDEX attempts_open (execution=? AND ended_at=?)"),
        ("schedules_soonest", "schedules_due (due_at>?)"),
        ("schedule_by_name", "schedules_by_name (name=?)"),
        ("firings_newest", "PRIMARY KEY (schedule=? AND nominal<?)"),
        ("firings_running", "firings_ran (schedule=?)"),
        ("firings_over", "firings_open (outcome=?)"),
        ("firings_waiting", "firings_open (outcome=? AND schedule=?)"),
        ("schedules_waiting", "firings_open (outcome=?)"),
        ("host_by_name", "hosts_by_name (name=?)"),
        ("hosts_page", "hosts_in_order ((name,id)>(?,?))"),
        ("certificates_denied", "certificates_revoked (not_after>?)"),
        ("execution_secrets_remove", "(name>? AND name<?)"),
        ("answer_get", "idempotency_1 (principal=? AND key=?)"),
    ],
)
def test_a_listing_is_a_range_of_an_index(connection: sqlite3.Connection, name: str, index: str) -> None:
    assert index in plan(connection, name)


def test_a_statement_has_one_name() -> None:
    assert len(set(QUERIES.names())) == len(QUERIES.names()) > 60
    with pytest.raises(KeyError):
        QUERIES["nothing"]
