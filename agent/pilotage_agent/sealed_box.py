"""Sealed secrets. The format, which the coordinator mirrors:

    blob = ephemeral_public (32 bytes) || nonce (12 bytes) || AES-256-GCM ciphertext with its tag (16 bytes at the end)
    shared = X25519(ephemeral private key, recipient's public key)
    salt = ephemeral_public || recipient_public
    key = HKDF-SHA256(shared, salt, info = b"pilotage sealed secret v1", 32 bytes)
    associated data = (str(attempt key) + "\\n" + secret name) as UTF-8

For a Query, which has no attempt key, the first line of the associated data is the query id.
`recipient_public` is the raw X25519 key of JoinRequest.sealing_key. A blob opens only for its recipient, its attempt
and its name; anything else raises SealBroken.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pilotage_agent.errors import SealBroken

INFO: Final = b"pilotage sealed secret v1"
_PUBLIC: Final = 32
_NONCE: Final = 12


def new_private() -> bytes:
    """Make a private key; raw, 32 bytes."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_of(private: bytes) -> bytes:
    """Return the raw public key of a raw private key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def unseal(private: bytes, context: str, name: str, blob: bytes) -> bytes:
    """Open a secret sealed for `context` (an attempt key, or a query id); raises SealBroken."""
    try:
        ephemeral, nonce = blob[:_PUBLIC], blob[_PUBLIC : _PUBLIC + _NONCE]
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(ephemeral))
        key = _derive(shared, ephemeral, public_of(private))
        return AESGCM(key).decrypt(nonce, blob[_PUBLIC + _NONCE :], _associated(context, name))
    except (InvalidTag, ValueError):
        raise SealBroken(
            f"the secret {name} cannot be opened here: it was not sealed for this agent's key and this attempt"
        ) from None


def seal(recipient_public: bytes, context: str, name: str, value: bytes) -> bytes:
    """Seal a secret as the coordinator does; here for tests and for agents that check themselves."""
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient_public))
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_derive(shared, public, recipient_public)).encrypt(nonce, value, _associated(context, name))
    return public + nonce + sealed


def _derive(shared: bytes, ephemeral_public: bytes, recipient_public: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=ephemeral_public + recipient_public, info=INFO).derive(shared)


def _associated(context: str, name: str) -> bytes:
    return f"{context}\n{name}".encode()
