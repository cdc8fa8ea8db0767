"""Signatures as OpenSSH makes them (`ssh-keygen -Y sign`), read and verified without the program.

The format is that of OpenSSH's PROTOCOL.sshsig; keys on hardware (`sk-…`) sign what PROTOCOL.u2f says. Whoever imports
this needs `cryptography`; nothing else of this package does.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_PRESENT: Final = 0x01
"""The flag of a hardware key that says that somebody touched it."""
LARGEST_SIGNATURE: Final = 8192
"""Characters; that of an RSA key of 16,384 bits has half of it."""
LARGEST_KEY: Final = 4096
SMALLEST_RSA: Final = 2048
"""Bits."""
_CURVES: Final[Mapping[bytes, tuple[type[ec.EllipticCurve], type[hashes.HashAlgorithm]]]] = {
    b"nistp256": (ec.SECP256R1, hashes.SHA256),
    b"nistp384": (ec.SECP384R1, hashes.SHA384),
    b"nistp521": (ec.SECP521R1, hashes.SHA512),
}
_RSA: Final[Mapping[bytes, type[hashes.HashAlgorithm]]] = {
    b"rsa-sha2-256": hashes.SHA256,
    b"rsa-sha2-512": hashes.SHA512,
}
TYPES: Final = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
"""The types of keys that can sign decisions; those that begin with `sk-` live on hardware."""
_DIGESTS: Final = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


class KeyRefused(ValueError):
    """A text that is no public key with which decisions can be signed; it says why."""


class SignatureRefused(ValueError):
    """A signature that proves nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of OpenSSH."""

    type: str
    blob: bytes

    @property
    def line(self) -> str:
        """Return it as `TYPE BASE64`, without a comment: its one written form."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """Return `SHA256:…`, as OpenSSH shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def on_hardware(self) -> bool:
        """Return whether it lives on a device that somebody must touch."""
        return self.type.startswith("sk-")


def read_key(text: str) -> PublicKey:
    """Read a line of a `.pub` file, with or without a comment. Raises KeyRefused."""
    line = text.strip()
    parts = line.split(None, 2)
    if len(line) > LARGEST_KEY or "\n" in line or len(parts) < 2:
        raise KeyRefused("that is no OpenSSH public key: give the one line of a .pub file, such as `ssh-ed25519 AAAA…`")
    name = parts[0]
    if name not in TYPES:
        raise KeyRefused(f"keys of the type {name[:60]!r} cannot sign decisions; these can: {', '.join(TYPES)}")
    try:
        key = PublicKey(name, base64.b64decode(parts[1], validate=True))
        loaded = _load(key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyRefused(f"that is no OpenSSH public key: {error}") from error
    if isinstance(loaded.public, rsa.RSAPublicKey) and loaded.public.key_size < SMALLEST_RSA:
        raise KeyRefused(f"an RSA key needs at least {SMALLEST_RSA} bits; make a better one: ssh-keygen -t ed25519")
    return key


def signer(signature: str) -> bytes:
    """Return the blob of the key that a signature says it was made with. Raises SignatureRefused."""
    outer = _Reader(_unarmored(signature))
    if outer.take(len(_MAGIC)) != _MAGIC or outer.number() != _VERSION:
        raise SignatureRefused("that is no signature of OpenSSH, or one of another version")
    return outer.string()


def verify(signature: str, message: bytes, namespace: str, key: PublicKey) -> None:
    """Check that `key` has signed `message` in `namespace`. Raises SignatureRefused."""
    if signer(signature) != key.blob:
        raise SignatureRefused("another key has signed it")
    outer = _Reader(_unarmored(signature)[len(_MAGIC) + 4 :])
    _, said, reserved, digest, made = (outer.string() for _ in range(5))
    outer.finish()
    if said != namespace.encode():
        raise SignatureRefused(f"it was signed for `{said[:60].decode(errors='replace')}`, not for `{namespace}`")
    if digest not in _DIGESTS:
        raise SignatureRefused("it uses a digest that is not known here; sha512 and sha256 are")
    hashed = _DIGESTS[digest](message).digest()
    signed = _MAGIC + b"".join(_string(each) for each in (said, reserved, digest, hashed))
    inner = _Reader(made)
    algorithm, value = inner.string(), inner.string()
    touched = inner.take(5) if key.on_hardware else b""
    inner.finish()
    try:
        _check(key, algorithm, value, touched, signed)
    except InvalidSignature as error:
        raise SignatureRefused("this key has signed something else") from error


_Public: TypeAlias = Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class _Loaded:
    public: _Public
    digest: hashes.HashAlgorithm | None = None
    application: bytes = b""


def _load(key: PublicKey) -> _Loaded:
    """Read what a key's blob holds; raises ValueError."""
    reader = _Reader(key.blob)
    if reader.string() != key.type.encode():
        raise SignatureRefused(f"it is not of the type {key.type}, which it says it is")
    public: _Public
    digest: hashes.HashAlgorithm | None = None
    if "ed25519" in key.type:
        public = Ed25519PublicKey.from_public_bytes(reader.string())
    elif "ecdsa" in key.type:
        name = reader.string()
        if name not in _CURVES or not key.type.removesuffix("@openssh.com").endswith(name.decode()):
            raise SignatureRefused("its curve is not the one of its type")
        curve, hashing = _CURVES[name]
        public, digest = ec.EllipticCurvePublicKey.from_encoded_point(curve(), reader.string()), hashing()
    else:
        exponent, modulus = reader.integer(), reader.integer()
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    application = reader.string() if key.on_hardware else b""
    reader.finish()
    return _Loaded(public, digest, application)


def _check(key: PublicKey, algorithm: bytes, value: bytes, touched: bytes, signed: bytes) -> None:
    """Check one signature; raises InvalidSignature, SignatureRefused."""
    loaded = _load(key)
    if key.on_hardware:
        if not touched[0] & _PRESENT:
            raise SignatureRefused("nobody touched the hardware key when it signed")
        signed = hashlib.sha256(loaded.application).digest() + touched + hashlib.sha256(signed).digest()
    expected = _RSA if isinstance(loaded.public, rsa.RSAPublicKey) else (key.type.encode(),)
    if algorithm not in expected:
        raise SignatureRefused("it was made by an algorithm that is not this key's")
    match loaded.public:
        case Ed25519PublicKey():
            loaded.public.verify(value, signed)
        case rsa.RSAPublicKey():
            loaded.public.verify(value, signed, padding.PKCS1v15(), _RSA[algorithm]())
        case _:
            numbers = _Reader(value)
            first, second = numbers.integer(), numbers.integer()
            numbers.finish()
            if first <= 0 or second <= 0:
                raise SignatureRefused("the signature is damaged")
            assert loaded.digest is not None
            loaded.public.verify(encode_dss_signature(first, second), signed, ec.ECDSA(loaded.digest))


def _unarmored(text: str) -> bytes:
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(text) > LARGEST_SIGNATURE or len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise SignatureRefused(f"a signature stands between {_BEGIN} and {_END}")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error as error:
        raise SignatureRefused("the signature is damaged") from error


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


class _Reader:
    """Reads the wire format of SSH. Raises SignatureRefused for what ends too early, or goes on too long."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) != count:
            raise SignatureRefused("it ends too early")
        self._at += count
        return found

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def integer(self) -> int:
        return int.from_bytes(self.string(), "big", signed=True)

    def finish(self) -> None:
        if self._at != len(self._data):
            raise SignatureRefused("something stands behind its end")
