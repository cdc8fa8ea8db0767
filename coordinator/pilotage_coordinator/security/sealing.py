"""Sealing a secret to one agent, for one attempt or one query: only that agent's key opens it, and only there.

A sealed value is: ephemeral X25519 public key (32), nonce (12), AES-256-GCM ciphertext and tag. The key is
HKDF-SHA256 of the shared secret, salted with both public keys. The attempt (or query) and the secret's name are
authenticated with it.
"""

import os
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.security.errors import SealingError

PUBLIC_KEY_BYTES: Final = 32
_INFO: Final = b"pilotage sealed secret v1"
_NONCE_BYTES: Final = 12


def attempt_context(key: AttemptKey, name: str) -> bytes:
    """Return what binds a sealed secret to one attempt."""
    return f"{key}\n{name}".encode()


def query_context(query_id: str, name: str) -> bytes:
    """Return what binds a sealed secret to one query."""
    return f"{query_id}\n{name}".encode()


def seal(recipient: bytes, value: bytes, context: bytes) -> bytes:
    """Encrypt `value` to a raw X25519 public key, bound to `context`; raises SealingError for an unusable key.

    Always uses fresh keys from the operating system: one ephemeral key must never seal two values.
    """
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    shared = _exchange(ephemeral, recipient)
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=public + recipient, info=_INFO).derive(shared)
    nonce = os.urandom(_NONCE_BYTES)
    return public + nonce + AESGCM(key).encrypt(nonce, value, context)


def check_sealing_key(recipient: bytes) -> None:
    """Raise SealingError unless secrets can be sealed to this raw X25519 public key."""
    _exchange(X25519PrivateKey.generate(), recipient)


def _exchange(ephemeral: X25519PrivateKey, recipient: bytes) -> bytes:
    if len(recipient) != PUBLIC_KEY_BYTES:
        raise SealingError(f"a sealing key has {PUBLIC_KEY_BYTES} bytes, this one {len(recipient)}")
    try:
        return ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    except ValueError as error:
        raise SealingError(
            "this sealing key is a point of low order: anybody could open what is sealed to it"
        ) from error
