"""The shell around the engine: it runs executions, keeps time, recovers, and owns the port to the fleet."""
