"""Files encrypted as `age` does (age-encryption.org/v1, X25519 recipients): whoever has the identity can open one
without this product.

Nothing is held in memory as a whole: content goes through in chunks of 64 KiB, each authenticated.
"""

import base64
import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from itertools import pairwise
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pilotage_coordinator.security.errors import AgeError

CHUNK: Final = 64 * 1024
_TAG: Final = 16
_INTRODUCTION: Final = b"age-encryption.org/v1\n"
_LABEL: Final = b"age-encryption.org/v1/X25519"
_LONGEST_LINE: Final = 1024
_MOST_STANZAS: Final = 64
_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def read_recipient(text: str) -> bytes:
    """Return the public key of a recipient, `age1…`; raises AgeError."""
    return _bech32(text.strip(), "age")


def read_identity(text: str) -> bytes:
    """Return the private key of the first identity in a file as `age-keygen` writes it; raises AgeError."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return _bech32(line.strip().lower(), "age-secret-key-")
    raise AgeError("the file holds no identity: a line AGE-SECRET-KEY-1… is expected, as `age-keygen` writes it")


def encrypt(source: BinaryIO, to: BinaryIO, recipients: Iterable[bytes]) -> None:
    """Encrypt `source` to each of some public keys; raises AgeError for a key that is none."""
    file_key = secrets.token_bytes(16)
    header = _INTRODUCTION + b"".join(_stanza(file_key, each) for each in recipients) + b"---"
    to.write(header + b" " + _b64(_mac(file_key, header)) + b"\n")
    nonce = secrets.token_bytes(16)
    to.write(nonce)
    cipher = ChaCha20Poly1305(_derive(file_key, nonce, b"payload"))
    chunk, counter = source.read(CHUNK), 0
    while True:
        following = source.read(CHUNK)
        to.write(cipher.encrypt(_counted(counter, last=not following), chunk, None))
        if not following:
            return
        chunk, counter = following, counter + 1


def decrypt(source: BinaryIO, to: BinaryIO, private: bytes) -> None:
    """Decrypt with a private key; raises AgeError. What was written before an error is not to be used."""
    lines = _header(source)
    file_key = _unwrapped(lines, private)
    header, _, mac = b"".join(lines).rpartition(b" ")
    if not hmac.compare_digest(_b64(_mac(file_key, header)) + b"\n", mac):
        raise AgeError("the header of the encrypted file was changed")
    cipher = ChaCha20Poly1305(_derive(file_key, _exactly(source, 16), b"payload"))
    chunk, counter = source.read(CHUNK + _TAG), 0
    while True:
        following = source.read(CHUNK + _TAG)
        try:
            plain = cipher.decrypt(_counted(counter, last=not following), chunk, None)
        except InvalidTag as error:
            raise AgeError("the encrypted file was changed, or its end is missing") from error
        if not plain and counter:
            raise AgeError("the encrypted file ends in a chunk without content")
        to.write(plain)
        if not following:
            return
        chunk, counter = following, counter + 1


def _stanza(file_key: bytes, recipient: bytes) -> bytes:
    ephemeral = X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes_raw()
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    except ValueError as error:
        raise AgeError("the recipient is no X25519 public key") from error
    wrapped = _wrapping(shared, share, recipient).encrypt(bytes(12), file_key, None)
    return b"-> X25519 " + _b64(share) + b"\n" + _b64(wrapped) + b"\n"


def _header(source: BinaryIO) -> list[bytes]:
    lines = [source.readline(_LONGEST_LINE)]
    if lines[0] != _INTRODUCTION:
        raise AgeError("that is no file encrypted by age, version 1 (armoured ones must be read by `age -d` first)")
    while not lines[-1].startswith(b"---"):
        lines.append(source.readline(_LONGEST_LINE))
        if not lines[-1].endswith(b"\n") or len(lines) > 3 * _MOST_STANZAS:
            raise AgeError("the header of the encrypted file is damaged")
    return lines


def _unwrapped(lines: list[bytes], private: bytes) -> bytes:
    """Return the file key from the stanza that is for us."""
    own = X25519PrivateKey.from_private_bytes(private)
    public = own.public_key().public_bytes_raw()
    for line, body in pairwise(lines):
        kind, _, encoded = line.strip().partition(b" X25519 ")
        if kind != b"->":
            continue
        try:
            share, wrapped = _unb64(encoded), _unb64(body.strip())
            shared = own.exchange(X25519PublicKey.from_public_bytes(share))
            return _wrapping(shared, share, public).decrypt(bytes(12), wrapped, None)
        except (ValueError, InvalidTag):
            continue
    raise AgeError("the file is not encrypted to this identity")


def _wrapping(shared: bytes, share: bytes, recipient: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(_derive(shared, share + recipient, _LABEL))


def _derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_derive(file_key, b"", b"header"), header, sha256)


def _counted(counter: int, *, last: bool) -> bytes:
    return counter.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _exactly(source: BinaryIO, count: int) -> bytes:
    found = source.read(count)
    if len(found) != count:
        raise AgeError("the encrypted file ends too early")
    return found


def _b64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _unb64(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)


def _bech32(text: str, kind: str) -> bytes:
    """Return the 32 bytes of a Bech32 text (BIP 173) of one kind; raises AgeError."""
    prefix, _, data = text.rpartition("1")
    values = [_ALPHABET.find(each) for each in data]
    if prefix != kind or -1 in values or _checksum([*_expanded(kind), *values]) != 1:
        raise AgeError(f"that is no {kind.upper() if kind.endswith('-') else kind}1… of age, or it was mistyped")
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    spare = len(values[:-6]) * 5 - 256
    if spare not in range(5) or number & ((1 << spare) - 1):
        raise AgeError("that is no key of 32 bytes")
    return (number >> spare).to_bytes(32, "big")


def _expanded(prefix: str) -> list[int]:
    return [*(ord(each) >> 5 for each in prefix), 0, *(ord(each) & 31 for each in prefix)]


def _checksum(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, part in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= part if top >> bit & 1 else 0
    return check
