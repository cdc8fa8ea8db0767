"""The cipher for secrets in the store: AES-256-GCM, bound to the place where the value stands.

A ciphertext is: format byte (1), nonce (12), encrypted value and tag. Table, row and field are authenticated with it,
so that a value moved to another row does not decrypt.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pilotage_proto.canonical import canonical

from pilotage_coordinator.security.errors import DecryptionError, StoreKeyError
from pilotage_coordinator.security.private_file import ExposedFile, create_private, read_private, sync_folder

KEY_BYTES: Final = 32
CREDENTIAL: Final = "pilotage-key"
"""Name of the systemd credential that holds the key: LoadCredentialEncrypted=pilotage-key:…"""
KEY_FILE: Final = "store.key"
NEXT_KEY_FILE: Final = "store.key.next"
"""The key that takes the place of the other once everything is encrypted with it."""
_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class StoreCipher:
    """Encrypts values for one place in the store and decrypts them there only."""

    def __init__(self, key: bytes, nonce: Callable[[int], bytes] = secrets.token_bytes) -> None:
        """Take a key of 32 bytes; `nonce` gives that many unpredictable bytes and never repeats."""
        if len(key) != KEY_BYTES:
            raise StoreKeyError(f"the store's key must have {KEY_BYTES} bytes, it has {len(key)}")
        self._cipher = AESGCM(key)
        self._nonce = nonce
        self.fingerprint = fingerprint(key)
        """Tells keys apart; kept beside the data so that a wrong key is named before anything is read."""

    def encrypt(self, value: bytes, table: str, row: str, field: str) -> bytes:
        """Return the ciphertext of `value` for that place."""
        nonce = self._nonce(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, value, _place(table, row, field))

    def decrypt(self, ciphertext: bytes, table: str, row: str, field: str) -> bytes:
        """Return the value; raises DecryptionError if it was changed, moved, or encrypted with another key."""
        head = len(_FORMAT) + _NONCE_BYTES
        if len(ciphertext) < head + _TAG_BYTES or not ciphertext.startswith(_FORMAT):
            raise DecryptionError(f"{table}/{row}/{field} does not hold a ciphertext of this version")
        try:
            return self._cipher.decrypt(ciphertext[len(_FORMAT) : head], ciphertext[head:], _place(table, row, field))
        except InvalidTag as error:
            raise DecryptionError(
                f"{table}/{row}/{field} cannot be decrypted: it was changed, moved, or made with another key "
                f"than {self.fingerprint}"
            ) from error

    def self_test(self) -> None:
        """Prove that values are hidden and bound to their place; raises StoreKeyError, and then nothing may run."""
        canary = b"pilotage self-test " + bytes(range(64))
        hidden = self.encrypt(canary, "self_test", "1", "value")
        if canary in hidden or hidden[len(_FORMAT) + _NONCE_BYTES :].startswith(canary[:8]):
            raise StoreKeyError(
                "self-test failed: a ciphertext shows its plaintext; do not store secrets on this machine"
            )
        if self.decrypt(hidden, "self_test", "1", "value") != canary:
            raise StoreKeyError("self-test failed: a value does not survive encryption")
        if hidden == self.encrypt(canary, "self_test", "1", "value"):
            raise StoreKeyError("self-test failed: the source of randomness repeats itself")
        for place in (("other", "1", "value"), ("self_test", "2", "value"), ("self_test", "1", "other")):
            try:
                self.decrypt(hidden, *place)
            except DecryptionError:
                continue
            raise StoreKeyError(f"self-test failed: a ciphertext decrypts at another place ({'/'.join(place)})")


def fingerprint(key: bytes) -> str:
    """Return what tells keys apart, and says nothing of the key."""
    return hashlib.sha256(b"pilotage store key\n" + key).hexdigest()[:16]


def find_store_key(folder: Path, environment: Mapping[str, str], wanted: str) -> bytes:
    """Return the key with this fingerprint, and give it its place if a change of keys was cut off before that.

    The systemd credential, `store.key` and `store.key.next` in `folder` are looked at. Raises StoreKeyError, which
    names every key that is there, for data that none of them opens.
    """
    seen: list[str] = []
    for place in _places(folder, environment):
        try:
            content = read_private(place) if place.parent == folder else place.read_bytes()
        except ExposedFile as error:
            raise StoreKeyError(str(error)) from error
        if content is None:
            continue
        key = _read_key(content, place)
        if fingerprint(key) == wanted:
            if place.name == NEXT_KEY_FILE:
                settle_next_key(folder)
            return key
        seen.append(f"{place} holds {fingerprint(key)}")
    there = "; ".join(seen) or f"{folder / KEY_FILE} is missing"
    raise StoreKeyError(
        f"the database is encrypted with the key {wanted}, and that key is not here: {there}. Bring it back from a "
        "backup of the keys (`pilotage backup restore` has both), or give the unit its credential again"
    )


def make_next_key(folder: Path) -> bytes:
    """Make a key that does not count yet, durably; one that was left there by a change that never happened goes."""
    file = folder / NEXT_KEY_FILE
    file.unlink(missing_ok=True)
    return _read_key(create_private(file, secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n", 0o400), file)


def settle_next_key(folder: Path) -> None:
    """Let the next key take the place of the other, whose file is gone then; call it once the data needs it."""
    (folder / NEXT_KEY_FILE).replace(folder / KEY_FILE)
    sync_folder(folder)


def _places(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    credentials = environment.get("CREDENTIALS_DIRECTORY", "")
    if credentials and (credential := Path(credentials, CREDENTIAL)).exists():
        yield credential
    yield folder / KEY_FILE
    yield folder / NEXT_KEY_FILE


def load_store_key(folder: Path, environment: Mapping[str, str], *, may_create: bool) -> bytes:
    """Return the store's key: the systemd credential if there is one, else the 0400 file in `folder`.

    `may_create` is true at the first start only, when there is no data yet: a lost key must not be replaced silently
    beside data that needs it. Raises StoreKeyError.
    """
    credentials = environment.get("CREDENTIALS_DIRECTORY", "")
    if credentials and (credential := Path(credentials, CREDENTIAL)).exists():
        return _read_key(credential.read_bytes(), credential)
    file = folder / KEY_FILE
    try:
        content = read_private(file)
        if content is None and may_create:
            content = create_private(file, secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n", 0o400)
    except ExposedFile as error:
        raise StoreKeyError(str(error)) from error
    if content is None:
        raise StoreKeyError(f"{file} is missing and there is data that needs it; restore it from a backup of the keys")
    return _read_key(content, file)


def _read_key(content: bytes, place: Path) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    text = content.strip()
    if re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text.decode())
    raise StoreKeyError(f"{place} holds no key: 32 bytes, or 64 hexadecimal digits, are expected")


def _place(table: str, row: str, field: str) -> bytes:
    return canonical(["pilotage store secret v1", table, row, field])
