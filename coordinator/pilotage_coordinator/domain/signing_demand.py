"""What a host says that it does only when people have signed the plan. Its agent decides; here it is only told."""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.inventory import Host

FACT: Final = "signed_plans"
"""The fact by which a host says it."""


def demand_of(host: Host) -> Mapping[str, Any] | None:
    """Return what a host has said that it wants signed; None where it asks for nothing."""
    said = host.facts.get(FACT)
    return said if isinstance(said, Mapping) else None
