"""What this room refuses."""

from pilotage_coordinator.domain.errors import DomainError


class AccessRefused(DomainError):
    """A principal, role, grant or limit that cannot be; the text names it and what fits."""
