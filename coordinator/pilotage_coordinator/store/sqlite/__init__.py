"""The store on SQLite, on disk or simulated."""

from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store, open_store
from pilotage_coordinator.store.sqlite.version import LinkedSqlite, linked_sqlite

__all__ = ["LinkedSqlite", "SimulatedDisk", "SqliteStore", "linked_sqlite", "open_simulated_store", "open_store"]
