"""Sensitive values in plans: shown as a keyed digest, so that two plans can be compared and nothing can be guessed.

A bare hash of a short password is found by trying; an HMAC under a key that only the coordinator holds is not. Path
and name go into it, so that equal values in two places do not show that they are equal.
"""

import hmac
from hashlib import sha256
from typing import Any, Final

from pilotage_proto.canonical import canonical

SHORTEST_KEY: Final = 32
"""Bytes."""


def mask(key: bytes, place: str, value: Any) -> dict[str, str]:
    """Return `{"sensitive": "hmac-sha256:…"}` for a value at a place such as `parameters.token`.

    Raises ValueError for a key shorter than 32 bytes, CanonicalError for a value that JSON cannot keep.
    """
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"the key for sensitive values has {len(key)} bytes, at least {SHORTEST_KEY} are needed")
    content = canonical({"place": place, "value": value})
    return {"sensitive": "hmac-sha256:" + hmac.new(key, content, sha256).hexdigest()}
