"""Importing the fleet first sets what grpc reads from the environment before it is imported."""

import pilotage_coordinator.fleet

__all__ = ["pilotage_coordinator"]
