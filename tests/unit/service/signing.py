"""A person's key, and signatures as OpenSSH writes them, made without its program: always the same."""

import base64
import hashlib
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pilotage_proto.decision import NAMESPACE, Statement
from pilotage_proto.delegation import Lending

_TYPE = b"ssh-ed25519"


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


class Signer:
    """Somebody with a key."""

    def __init__(self, name: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        raw = self._private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._blob = _string(_TYPE) + _string(raw)

    @property
    def line(self) -> str:
        """Return the public key as a .pub file has it."""
        return f"{_TYPE.decode()} {base64.b64encode(self._blob).decode()} made for tests"

    def proof(self, statement: Statement | Lending, namespace: str = NAMESPACE) -> str:
        """Return the signature of a statement."""
        hashed = hashlib.sha512(statement.signed_bytes()).digest()
        about = [namespace.encode(), b"", b"sha512"]
        signed = b"SSHSIG" + b"".join(map(_string, [*about, hashed]))
        made = _string(_TYPE) + _string(self._private.sign(signed))
        parts = b"".join(map(_string, [self._blob, *about, made]))
        body = base64.b64encode(b"SSHSIG" + struct.pack(">I", 1) + parts).decode()
        return f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n"
