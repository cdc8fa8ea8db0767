"""The command line: an HTTP client of a coordinator. `main` is the console entry point."""

from pilotage_coordinator.cli.entry import main

__all__ = ["main"]
