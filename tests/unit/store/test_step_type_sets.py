import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from pilotage_coordinator.store.sqlite.connection import open_memory
from pilotage_coordinator.store.sqlite.queries import Queries
from pilotage_coordinator.store.sqlite.schema import install
from pilotage_coordinator.store.sqlite.step_type_sets import MOST_KEPT, StepTypes, StepTypeSets

QUERIES = Queries()
STEP_TYPES: StepTypes = ({"name": "command.run", "effect": "once"},)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(open_memory()) as connection:
        install(connection, QUERIES, "coo_1", 0)
        yield connection


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM step_type_sets").fetchone()[0])


def test_equal_lists_are_stored_once_and_share_one_value(connection: sqlite3.Connection) -> None:
    sets = StepTypeSets()
    digest = sets.keep(connection, QUERIES, STEP_TYPES)
    assert sets.keep(connection, QUERIES, STEP_TYPES) == digest
    assert sets.keep(connection, QUERIES, ({**STEP_TYPES[0]},)) == digest
    assert count(connection) == 1
    assert sets.read(connection, QUERIES, digest) == STEP_TYPES
    assert sets.read(connection, QUERIES, digest) is sets.read(connection, QUERIES, digest)


def test_a_list_that_was_removed_meanwhile_is_stored_again(connection: sqlite3.Connection) -> None:
    sets = StepTypeSets()
    sets.keep(connection, QUERIES, STEP_TYPES)
    connection.execute(QUERIES["step_type_sets_remove_unused"])
    assert count(connection) == 0
    sets.keep(connection, QUERIES, STEP_TYPES)
    assert count(connection) == 1


def test_a_list_keeps_its_digest_when_many_others_come_and_go(connection: sqlite3.Connection) -> None:
    sets = StepTypeSets()
    digests = {sets.keep(connection, QUERIES, ({"name": f"a.b{number}"},)) for number in range(2 * MOST_KEPT)}
    assert len(digests) == count(connection) == 2 * MOST_KEPT
    for digest in digests:
        sets.read(connection, QUERIES, digest)
    assert sets.keep(connection, QUERIES, ({"name": "a.b1"},)) in digests
