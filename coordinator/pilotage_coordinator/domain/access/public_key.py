"""Public keys of persons, as OpenSSH writes them: one line of type, base64 and comment (RFC 4253, 6.6)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.access.errors import AccessRefused

TYPES: Final = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
"""Those of plain keys and of keys that a hardware token holds."""
LONGEST: Final = 8_192
SMALLEST_RSA: Final = 2_048
"""Bits."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that was read; `comment` is what its line says after it, and proves nothing."""

    type: str
    blob: bytes
    comment: str = ""

    @property
    def line(self) -> str:
        """Return it as OpenSSH writes it, with its comment."""
        return f"{self.type} {base64.b64encode(self.blob).decode()} {self.comment}".rstrip()

    @property
    def fingerprint(self) -> str:
        """Return `SHA256:…` as `ssh-keygen -l` shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


def read_public_key(text: str) -> PublicKey:
    """Read one line of a `.pub` file; raises AccessRefused, also for a private key, of which nothing is repeated."""
    if "PRIVATE KEY" in text:
        raise AccessRefused("this is a private key: it must stay where it is; give the .pub file beside it")
    line = text.strip()
    if len(line) > LONGEST or "\n" in line or not line.isprintable():
        raise AccessRefused("a public key is one line, as in a .pub file")
    type, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if type not in TYPES:
        raise AccessRefused(f"a key of the type {type[:40]!r} is not taken: make one with `ssh-keygen -t ed25519`")
    try:
        blob = base64.b64decode(encoded, validate=True)
        fields = _fields(blob)
    except (binascii.Error, ValueError) as error:
        raise AccessRefused("the public key is damaged: copy its line again in full") from error
    if not fields or fields[0] != type.encode():
        raise AccessRefused("the public key is damaged: its type is not the one in front of it")
    if type == "ssh-rsa" and (len(fields) != 3 or int.from_bytes(fields[2]).bit_length() < SMALLEST_RSA):
        raise AccessRefused(f"an RSA key has at least {SMALLEST_RSA} bits; better, `ssh-keygen -t ed25519`")
    return PublicKey(type, blob, comment.strip()[:200])


def _fields(blob: bytes) -> list[bytes]:
    """Return the strings of an SSH structure; raises ValueError when a length does not fit."""
    found: list[bytes] = []
    place = 0
    while place < len(blob):
        length = int.from_bytes(blob[place : place + 4])
        field = blob[place + 4 : place + 4 + length]
        if len(blob) < place + 4 or len(field) != length:
            raise ValueError("a length does not fit")
        found.append(field)
        place += 4 + length
    return found
