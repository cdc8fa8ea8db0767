"""The command line: an HTTP client of a coordinator. `main` is the console entry point."""

from pilotage_coordinator.cli.app import main

__all__ = ["main"]
