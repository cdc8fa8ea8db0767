"""The SQL of the store: statements by name, migrations by number, and the schema."""

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_([a-z_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a version of the schema to the next; its number is the version that it leads to."""

    version: int
    name: str
    script: str


class Queries:
    """All of `sql/`, read once at construction."""

    def __init__(self) -> None:
        """Read the files; raises ValueError for a name that is given twice or migrations that are not 1, 2, 3 …"""
        folder = files("pilotage_coordinator.store") / "sql"
        self.schema = (folder / "schema.sql").read_text()
        self.migrations = _migrations(folder / "migrations")
        self._statements: dict[str, str] = {}
        for file in sorted((folder / "queries").iterdir(), key=lambda file: file.name):
            for name, text in _statements(file.read_text()).items():
                if name in self._statements:
                    raise ValueError(f"{file.name}: query {name} is named twice")
                self._statements[name] = text

    def __getitem__(self, name: str) -> str:
        """Return a statement; raises KeyError."""
        return self._statements[name]

    def names(self) -> tuple[str, ...]:
        """Return the names of all statements."""
        return tuple(self._statements)


def _statements(text: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    named: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in named:
            raise ValueError(f"query {name} is named twice")
        named[name] = body.strip().removesuffix(";")
    return named


def _migrations(folder: Traversable) -> tuple[Migration, ...]:
    found: list[Migration] = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        match = _MIGRATION.fullmatch(file.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise ValueError(f"{file.name} is no migration, or its number does not follow {len(found)}")
        found.append(Migration(version=int(match[1]), name=match[2], script=file.read_text()))
    return tuple(found)
