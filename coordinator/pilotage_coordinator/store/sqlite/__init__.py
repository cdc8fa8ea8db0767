"""The store on SQLite, on disk or simulated."""

from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store, open_store

__all__ = ["SimulatedDisk", "SqliteStore", "open_simulated_store", "open_store"]
