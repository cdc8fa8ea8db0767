"""The key that signs the end of the audit log: Ed25519, in a 0400 file beside the other keys.

It is made under a name of its own and gets its place once the first head is signed and stored. So whoever finds the key
in its place also finds a signed head, and a head that is missing is a loss, never a first start that was cut off.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pilotage_coordinator.security.errors import AuditKeyError
from pilotage_coordinator.security.private_file import ExposedFile, create_private, read_private, sync_folder

KEY_FILE: Final = "audit.key"
_NEW: Final = "audit.key.new"


@dataclass(frozen=True, slots=True)
class AuditKey:
    """Implements `audit.head.HeadSigner`."""

    key: Ed25519PrivateKey = field(repr=False)
    folder: Path
    fresh: bool
    """Whether it waits for the first head that it signs."""

    @property
    def public(self) -> bytes:
        """Return the raw public key."""
        return self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @property
    def fingerprint(self) -> str:
        """Return what people compare: the hexadecimal SHA-256 of the raw public key."""
        return fingerprint(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self.key.sign(message)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key has signed a message."""
        try:
            self.key.public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def settle(self) -> None:
        """Give a fresh key its place; call it when a head that it signed is durable. Raises OSError."""
        if self.fresh:
            (self.folder / _NEW).replace(self.folder / KEY_FILE)
            sync_folder(self.folder)


def fingerprint(public: bytes) -> str:
    """Return the hexadecimal SHA-256 of a raw public key."""
    return hashlib.sha256(public).hexdigest()


def open_audit_key(folder: Path) -> AuditKey:
    """Read the key in `folder`, or make one where there is none; raises AuditKeyError for a file that holds none.

    A key that was lost shows when the store is opened: its log carries the signature of another one.
    """
    try:
        content = read_private(folder / KEY_FILE)
        fresh = content is None
        if content is None:
            content = read_private(folder / _NEW) or create_private(folder / _NEW, _new_key(), 0o400)
    except ExposedFile as error:
        raise AuditKeyError(str(error)) from error
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise AuditKeyError(_damaged(folder / KEY_FILE)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditKeyError(_damaged(folder / KEY_FILE))
    return AuditKey(key, folder, fresh)


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _damaged(file: Path) -> str:
    return (
        f"{file} holds no Ed25519 key in PEM. Restore it from a backup; if there is none, move the file away and start "
        "once with: pilotage coordinator serve --accept-audit-fault REASON"
    )
