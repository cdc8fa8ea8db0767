"""How the coordinator writes its log: one line an event, to standard error, through the standard library's loggers.

The loggers are named `workflow_engine`, `pilotage.fleet` and so on, so that `logging.getLogger(NAME).setLevel(...)`
turns one up alone. Tracebacks never show local variables: one of them may be a secret.
"""

import logging
import sys

from pilotage_coordinator.structured import structlog


def configure(level: str) -> None:
    """Send everything from `level` up to standard error. Called once, by whoever owns the process."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))
