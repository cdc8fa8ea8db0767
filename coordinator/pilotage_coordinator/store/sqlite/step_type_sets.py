"""Lists of step types by digest: a thousand hosts with the same plugins share one, in the file and in memory.

Each is some hundred kilobytes of JSON, and comes with every session: it is read, and written as text, once.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final, TypeAlias

from pilotage_proto.canonical import digest_of_bytes

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.store.sqlite.codec import read_json, write_json
from pilotage_coordinator.store.sqlite.queries import Queries

StepTypes: TypeAlias = tuple[Mapping[str, Json], ...]

MOST_KEPT: Final = 64
"""Different lists in memory; a fleet has a few."""


class StepTypeSets:
    """Reads and writes lists, and remembers the last. For several threads: a list is at worst read twice."""

    def __init__(self) -> None:
        """Begin with none in memory."""
        self._read: dict[str, StepTypes] = {}
        self._written: dict[int, tuple[StepTypes, str]] = {}
        """Identity to the list itself, which keeps the identity its own, and its digest."""

    def read(self, connection: sqlite3.Connection, queries: Queries, digest: str) -> StepTypes:
        """Return the list with a digest."""
        found = self._read.get(digest)
        if found is None:
            content = connection.execute(queries["step_type_set"], (digest,)).fetchone()[0]
            found = tuple(read_json(content))
            _make_room(self._read)
            self._read[digest] = found
        return found

    def keep(self, connection: sqlite3.Connection, queries: Queries, step_types: StepTypes) -> str:
        """Store a list within a transaction, unless it is stored; returns its digest."""
        _, digest = self._written.get(id(step_types), ((), ""))
        if digest and connection.execute(queries["step_type_set_has"], (digest,)).fetchone() is not None:
            return digest
        content = write_json(step_types)
        digest = digest_of_bytes(content.encode())
        connection.execute(queries["step_type_set_put"], (digest, content))
        _make_room(self._written)
        self._written[id(step_types)] = (step_types, digest)
        return digest


def _make_room(kept: dict[str, StepTypes] | dict[int, tuple[StepTypes, str]]) -> None:
    if len(kept) >= MOST_KEPT:
        kept.clear()
