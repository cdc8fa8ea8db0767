"""The settings of channels, `[channels.NAME]`: read strictly, or a mistake would be found by a missing alarm."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pilotage_coordinator.domain.channel import SCHEME, Channel, MailChannel, WebhookChannel, is_loopback, wrong_url

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")
_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")
_PORTS: Final = MappingProxyType({"starttls": 587, "tls": 465, "none": 25})
_WEBHOOK: Final = frozenset({"type", "url", "header", "header_value", "ca_file"})
_MAIL: Final = frozenset({"type", "server", "security", "from", "to", "user", "password", "ca_file"})
_RESERVED: Final = frozenset({"content-length", "content-type", "host", "idempotency-key", "transfer-encoding"})


def read_channels(value: Any) -> Mapping[str, Channel]:
    """Return the channels of a settings file by name; raises ValueError, which says what is wrong in which."""
    if not isinstance(value, dict):
        raise ValueError("a table is needed, such as [channels.ops]")
    return {name: _channel(name, given) for name, given in value.items()}


def _channel(name: str, given: Any) -> Channel:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a channel; use at most 64 letters, digits and . _ -")
    if not isinstance(given, dict):
        raise ValueError(f"{name}: a table is needed, such as [channels.{name}]")
    kind = given.get("type")
    if kind == "webhook":
        _only(name, given, _WEBHOOK)
        return _webhook(name, given)
    if kind == "mail":
        _only(name, given, _MAIL)
        return _mail(name, given)
    raise ValueError(f"{name}: `type` must be webhook or mail")


def _only(name: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"{name}: there is no `{unknown[0]}`; there are {', '.join(sorted(known))}")


def _webhook(name: str, given: Mapping[str, Any]) -> WebhookChannel:
    url = _text(name, given, "url", needed=True)
    if not url.startswith(SCHEME) and (wrong := wrong_url(url)):
        raise ValueError(f"{name}: `url`: {wrong}")
    header, value = _text(name, given, "header"), _text(name, given, "header_value")
    if bool(header) != bool(value):
        raise ValueError(f"{name}: `header` and `header_value` belong together")
    if header and (not _HEADER.fullmatch(header) or header.lower() in _RESERVED):
        raise ValueError(f"{name}: {header!r} cannot be set as a header")
    if value and not value.startswith(SCHEME):
        raise ValueError(f"{name}: `header_value` must be a secret, such as secret://{name}/token")
    return WebhookChannel(name, url, header, value, _text(name, given, "ca_file"))


def _mail(name: str, given: Mapping[str, Any]) -> MailChannel:
    security = _text(name, given, "security") or "starttls"
    if security not in _PORTS:
        raise ValueError(f"{name}: `security` must be starttls, tls or none")
    server, port = _server(name, _text(name, given, "server", needed=True), _PORTS[security])
    user, password = _text(name, given, "user"), _text(name, given, "password")
    if security == "none" and not is_loopback(server):
        raise ValueError(f"{name}: without TLS only a mail server on this machine may be used, not {server}")
    if bool(user) != bool(password):
        raise ValueError(f"{name}: `user` and `password` belong together")
    if password and not password.startswith(SCHEME):
        raise ValueError(f"{name}: `password` must be a secret, such as secret://{name}/password")
    sender, recipients = _text(name, given, "from", needed=True), given.get("to")
    if not isinstance(recipients, list) or not recipients or not all(isinstance(each, str) for each in recipients):
        raise ValueError(f"{name}: `to` must be a list of mail addresses")
    for address in (sender, *recipients):
        if not _ADDRESS.fullmatch(address) or not address.isprintable():
            raise ValueError(f"{name}: {address!r} is no mail address")
    ca_file = _text(name, given, "ca_file")
    return MailChannel(name, server, port, security, sender, tuple(recipients), user, password, ca_file)  # type: ignore[arg-type]


def _server(name: str, text: str, port: int) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not text.startswith("[")):
        return text.strip("[]"), port
    if not host or not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
        raise ValueError(f"{name}: `server` must be HOST or HOST:PORT")
    return host.strip("[]"), int(number)


def _text(name: str, given: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    value = given.get(key, "")
    if not isinstance(value, str) or (needed and not value):
        raise ValueError(f"{name}: `{key}` must be a text")
    return value
