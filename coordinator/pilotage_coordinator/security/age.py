"""Files encrypted as `age` does (age-encryption.org/v1): whoever has the identity can open one without this product.

Content goes through in chunks, each authenticated; nothing is held in memory as a whole.
"""

from collections.abc import Sequence
from typing import Any, BinaryIO

from pyrage import DecryptError, IdentityError, RecipientError, decrypt_io, encrypt_io, x25519

from pilotage_coordinator.security.errors import AgeError


def read_recipient(text: str) -> Any:
    """Return a recipient, `age1…`, as `encrypt` takes it; raises AgeError."""
    try:
        return x25519.Recipient.from_str(text.strip())
    except RecipientError as error:
        raise AgeError(f"that is no age1… of age, or it was mistyped: {error}") from error


def read_identity(text: str) -> Any:
    """Return the first identity in a file as `age-keygen` writes it, as `decrypt` takes it; raises AgeError."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                return x25519.Identity.from_str(line.strip())
            except IdentityError as error:
                raise AgeError(f"that is no AGE-SECRET-KEY-1… of age, or it was mistyped: {error}") from error
    raise AgeError("the file holds no identity: a line AGE-SECRET-KEY-1… is expected, as `age-keygen` writes it")


def encrypt(source: BinaryIO, to: BinaryIO, recipients: Sequence[Any]) -> None:
    """Encrypt `source` to each of some recipients."""
    encrypt_io(source, to, recipients)


def decrypt(source: BinaryIO, to: BinaryIO, identity: Any) -> None:
    """Decrypt with an identity; raises AgeError. What was written before an error is not to be used."""
    try:
        decrypt_io(source, to, [identity])
    except DecryptError as error:
        raise AgeError(f"the file cannot be opened with this identity: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise AgeError(f"the encrypted file was changed, or its end is missing: {error}") from error
