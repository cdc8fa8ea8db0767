"""The coordinator: holds blueprints, plans, executions and history, and sends work to the agents of a fleet."""
