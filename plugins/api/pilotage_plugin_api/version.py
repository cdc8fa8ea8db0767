"""The version of this API, and which plugins it can carry."""

from typing import Final

API_VERSION: Final = 2
"""What this package speaks. It grows by one when a plugin written for the old one could misbehave, or when a plugin
may come to rely on something that agents with the old one never do. 2: `StepType.recover` is called."""

RECOVER_SINCE: Final = 2
"""A plugin whose range ends below this may have a method `recover` of its own: nobody calls it."""

OLDEST_SUPPORTED: Final = 1
"""The oldest version whose plugins still work here."""

ApiRange = tuple[int, int]
"""Oldest and newest API version that a plugin works with, both included."""


def read_range(plugin: object) -> ApiRange:
    """Return the range that a plugin declares as `PILOTAGE_API = (oldest, newest)`; without one it is (1, 1).

    Raises ValueError, quoting the declaration, when it is no ordered pair of whole numbers.
    """
    declared = getattr(plugin, "PILOTAGE_API", (1, 1))
    match declared:
        case (int(oldest), int(newest)) if 1 <= oldest <= newest:
            return oldest, newest
    raise ValueError(f"PILOTAGE_API must be (oldest, newest), two whole numbers from 1 up; it is {declared!r}")


def incompatibility(plugin_range: ApiRange) -> str:
    """Say why a plugin with this range cannot be loaded here; empty when it can."""
    oldest, newest = plugin_range
    if oldest > API_VERSION:
        return f"needs plugin API {oldest} or newer, this agent speaks {API_VERSION}: upgrade Pilotage on this host"
    if newest < OLDEST_SUPPORTED:
        return f"was written for plugin API {newest}, this agent needs {OLDEST_SUPPORTED} or newer: upgrade the plugin"
    return ""
