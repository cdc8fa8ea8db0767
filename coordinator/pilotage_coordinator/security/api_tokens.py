"""API tokens: what a person's, service's or assistant's program shows to the coordinator.

The text is `plt_`, 43 characters that carry 256 random bits, and 6 that are a checksum of them: whoever searches texts
for leaked secrets knows one by its form (`plt_[0-9A-Za-z]{49}`) and its sum, and a truncated one is told without asking
the database. The coordinator keeps only a digest. No salt and no slow hash: there is nothing to guess in 256 bits.
"""

import hashlib
import hmac
import re
import zlib
from typing import Final

from pilotage_coordinator.security.errors import TokenRefused

PREFIX: Final = "plt_"
SECRET_BYTES: Final = 32
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY: Final = 43
_SUM: Final = 6
_FORM: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_BODY + _SUM}}}")


def new_api_token(randomness: bytes) -> str:
    """Return the text of a token from 32 random bytes."""
    if len(randomness) != SECRET_BYTES:
        raise ValueError(f"a token needs {SECRET_BYTES} random bytes, got {len(randomness)}")
    body = _written(int.from_bytes(randomness), _BODY)
    return PREFIX + body + _checksum(body)


def check_form(text: str) -> None:
    """Raise TokenRefused for what cannot be a whole token. The text itself never appears in the error."""
    if not text.startswith(PREFIX):
        raise TokenRefused(f"this is no API token: it must begin with {PREFIX}")
    body = text[len(PREFIX) : len(PREFIX) + _BODY]
    if _FORM.fullmatch(text) is None or not hmac.compare_digest(_checksum(body), text[len(PREFIX) + _BODY :]):
        raise TokenRefused("the API token is damaged or cut off: copy it again in full")


def token_digest(text: str) -> str:
    """Return what the coordinator keeps of a token."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _checksum(body: str) -> str:
    return _written(zlib.crc32(body.encode()), _SUM)


def _written(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
