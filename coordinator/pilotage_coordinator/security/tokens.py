"""Join tokens: what an operator carries to a new host, once.

The text is `plg1.` and base64url of a JSON object: `a` the enrolment address, `p` the authority's pin, `t` the secret,
`n` the host name it is bound to, if any. The coordinator keeps only a digest of `t`.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.security.errors import TokenRefused

PREFIX: Final = "plg1."
TOKEN_LIFE: Final = 15 * 60 * 1_000_000
"""Microseconds for which a token can be used."""
SECRET_BYTES: Final = 32
LONGEST_TOKEN: Final = 2048
_PIN: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a printed token says. `address` is host:port of the enrolment port; `name` is empty if not bound."""

    address: str
    pin: str
    secret: str
    name: str = ""

    def __str__(self) -> str:
        """Return the printed form that `parse_token` reads back."""
        content = {"a": self.address, "p": self.pin, "t": self.secret} | ({"n": self.name} if self.name else {})
        return PREFIX + _encode(json.dumps(content, separators=(",", ":")).encode())


def new_secret(randomness: bytes) -> str:
    """Return the text of a token's secret from 32 random bytes."""
    if len(randomness) != SECRET_BYTES:
        raise ValueError(f"a token needs {SECRET_BYTES} random bytes, got {len(randomness)}")
    return _encode(randomness)


def secret_digest(secret: str) -> str:
    """Return what the coordinator keeps of a token: the hexadecimal SHA-256 of its secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same_digest(one: str, other: str) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def parse_token(text: str) -> JoinToken:
    """Read a printed token; raise TokenRefused if it is none. The text itself never appears in the error."""
    if not text.startswith(PREFIX) or len(text) > LONGEST_TOKEN:
        raise TokenRefused(f"this is no join token: it must begin with {PREFIX} (print one: pilotage host token)")
    try:
        encoded = text.removeprefix(PREFIX)
        content = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
        token = JoinToken(address=content["a"], pin=content["p"], secret=content["t"], name=content.get("n", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise TokenRefused(
            "the join token is damaged; copy it again in full (print one: pilotage host token)"
        ) from error
    if not all(isinstance(value, str) for value in (token.address, token.pin, token.secret, token.name)):
        raise TokenRefused("the join token is damaged: its fields must be texts")
    if not _PIN.fullmatch(token.pin) or not token.secret or ":" not in token.address:
        raise TokenRefused("the join token is damaged: address, pin or secret are missing")
    return token


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
