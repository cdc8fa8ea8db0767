"""structlog, without the console that would import rich: a coordinator writes lines for machines."""

from pilotage_proto.lean import standing_for

with standing_for("rich", None):
    import structlog

__all__ = ["structlog"]
