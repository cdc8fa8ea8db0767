"""Whom a channel's TLS trusts."""

import ssl

from pilotage_coordinator.runtime.deliveries import NotDelivered


def context_of(ca_file: str) -> ssl.SSLContext:
    """Return the client's context: certificate and name are verified, always. Raises NotDelivered."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise NotDelivered(f"ca_file {ca_file} cannot be read ({error}); mend it or the setting") from error
