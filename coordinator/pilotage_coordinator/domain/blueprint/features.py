"""The features of the language, and which are built.

The loader parses the whole language; what is not built is refused by name. Building one means moving one line.
"""

from typing import Final

FEATURES: Final = {
    "analysis": "analysis after each batch",
    "approvals": "approvals",
    "capacity": "shares of a host's capacity",
    "concurrency": "limits on executions of one blueprint",
    "health": "health gates",
    "locks": "locks",
    "order_by": "an order of hosts computed before each batch",
    "backup_within": "requiring a recent backup",
    "resource_requirements": "resource requirements",
    "windows": "maintenance windows",
}
"""Every feature that the loader can refuse: its name to what it is called in an error."""

ALL: Final[frozenset[str]] = frozenset(FEATURES)

BUILT: Final[frozenset[str]] = frozenset({"analysis", "approvals", "backup_within", "health", "order_by"})
"""The features of FEATURES that work in this version."""

RESERVED: Final[frozenset[str]] = frozenset(
    {"matrix", "include", "imports", "on", "schedule", "artifacts", "else", "cache", "env_from"}
)
"""Keys of blueprints and steps that are kept for later; refused as not available yet."""
