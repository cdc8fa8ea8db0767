"""Where notifications go: the channels that the coordinator's settings name. A blueprint only ever says their names."""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

SCHEME: Final = "secret://"
"""How a setting begins whose value is in the store of secrets."""


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """An HTTP POST of JSON. `url` and `header_value` may be references to secrets."""

    name: str
    url: str
    header: str = ""
    header_value: str = ""
    ca_file: str = ""
    """PEM file of the authorities to trust, in place of the well-known ones."""


@dataclass(frozen=True, slots=True)
class MailChannel:
    """A mail over SMTP. `password` is a reference to a secret."""

    name: str
    server: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password: str = ""
    ca_file: str = ""


Channel: TypeAlias = WebhookChannel | MailChannel


def not_configured(name: str, configured: Collection[str]) -> tuple[str, str]:
    """Return what to say about a channel that there is not, and the fix."""
    known = f"configured are {', '.join(f'`{each}`' for each in sorted(configured))}" if configured else "none is"
    fix = f"add [channels.{name[:80]}] to the coordinator's settings (docs/operations.md, Channels)"
    return f"there is no channel `{name[:80]}`: {known}", f"use one of them, or {fix}" if configured else fix


def wrong_url(url: str) -> str:
    """Return why a webhook may not go to this URL; empty when it may. Without TLS only this machine is reached."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it cannot be read"
    if not host or not url.isprintable() or " " in url:
        return "it cannot be read"
    if parts.username or parts.password:
        return "it holds a password; use `header` and `header_value`"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return ""
    return "it must begin with https:// (http:// reaches this machine alone, such as http://127.0.0.1:8080/)"


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
