"""What every test process needs before anything imports grpc."""

import pilotage_coordinator.fleet  # noqa: F401 - sets what grpc reads from the environment at its import
