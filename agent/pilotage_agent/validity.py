"""When a certificate is valid, read from its DER: what the agent's timer needs, without a library of five mebibytes.

Nothing is decided by it but when to renew. Trust is decided by TLS and, after a renewal, by `link/signing.py`.
"""

from datetime import UTC, datetime
from typing import Final

_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_FORMATS: Final = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
"""UTCTime and GeneralizedTime, in the one form that RFC 5280 (4.1.2.5) allows for each."""


def validity_of(certificate: bytes) -> tuple[datetime, datetime]:
    """Return begin and end of a DER certificate's life (RFC 5280, 4.1); raises ValueError when it is none."""
    whole, _ = _content(certificate, _SEQUENCE)
    signed, _ = _content(whole, _SEQUENCE)
    fields = _members(signed)
    # Before the validity: a version if it is not the first, serial number, algorithm, issuer.
    place = 4 if fields and fields[0][0] == _VERSION else 3
    if len(fields) <= place or fields[place][0] != _SEQUENCE:
        raise ValueError("a certificate without validity")
    times = _members(fields[place][1])
    if len(times) != 2:
        raise ValueError("a certificate whose validity has no begin or no end")
    return _time(*times[0]), _time(*times[1])


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag not in _FORMATS:
        raise ValueError(f"a time of type {tag:#x} in a certificate")
    at = datetime.strptime(text, _FORMATS[tag]).replace(tzinfo=UTC)
    # RFC 5280: two digits from 50 up are of the last century; Python changes at 69.
    return at.replace(year=at.year - 100) if tag == 0x17 and at.year >= 2050 else at


def _content(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first element, which must have this tag, and what follows it."""
    found, content, rest = _element(data)
    if found != tag:
        raise ValueError(f"no certificate: element {found:#x} where {tag:#x} is due")
    return content, rest


def _members(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        tag, content, data = _element(data)
        found.append((tag, content))
    return found


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Cut one DER element off: tag, content, rest."""
    if len(data) < 2:
        raise ValueError("no certificate: it ends too early")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start > len(data) or start + length > len(data):
        raise ValueError("no certificate: it ends too early")
    return data[0], data[start : start + length], data[start + length :]
