"""The cipher of the store, its key, and sealing to an agent."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pilotage_coordinator.security.errors import DecryptionError, SealingError, StoreKeyError
from pilotage_coordinator.security.sealing import attempt_context, check_sealing_key, query_context, seal
from pilotage_coordinator.security.secrets import StoreCipher, load_store_key
from pilotage_proto.attempt import AttemptKey, AttemptKind

KEY = bytes(range(32))


def test_a_value_is_hidden_and_read_back_at_its_place_only() -> None:
    cipher = StoreCipher(KEY)
    hidden = cipher.encrypt(b"hush hush", "secrets", "restic", "value")
    assert b"hush" not in hidden
    assert cipher.decrypt(hidden, "secrets", "restic", "value") == b"hush hush"
    for place in (("secret", "srestic", "value"), ("secrets", "other", "value"), ("secrets", "restic", "note")):
        with pytest.raises(DecryptionError, match="/".join(place)):
            cipher.decrypt(hidden, *place)
    with pytest.raises(DecryptionError, match="another key"):
        StoreCipher(bytes(32)).decrypt(hidden, "secrets", "restic", "value")


def test_every_changed_bit_is_found() -> None:
    cipher = StoreCipher(KEY)
    hidden = cipher.encrypt(b"v", "t", "r", "f")
    for bit in range(len(hidden) * 8):
        changed = bytearray(hidden)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            cipher.decrypt(bytes(changed), "t", "r", "f")
    for length in range(len(hidden)):
        with pytest.raises(DecryptionError):
            cipher.decrypt(hidden[:length], "t", "r", "f")


def test_the_self_test_passes_on_the_real_cipher() -> None:
    StoreCipher(KEY).self_test()


class Transparent(StoreCipher):
    def encrypt(self, value: bytes, table: str, row: str, field: str) -> bytes:
        return super().encrypt(b"", table, row, field)[:13] + value + bytes(16)

    def decrypt(self, ciphertext: bytes, table: str, row: str, field: str) -> bytes:
        return ciphertext[13:-16]


class Unbound(StoreCipher):
    def encrypt(self, value: bytes, table: str, row: str, field: str) -> bytes:
        return super().encrypt(value, "", "", "")

    def decrypt(self, ciphertext: bytes, table: str, row: str, field: str) -> bytes:
        return super().decrypt(ciphertext, "", "", "")


class BoundToTableOnly(StoreCipher):
    def encrypt(self, value: bytes, table: str, row: str, field: str) -> bytes:
        return super().encrypt(value, table, "", "")

    def decrypt(self, ciphertext: bytes, table: str, row: str, field: str) -> bytes:
        return super().decrypt(ciphertext, table, "", "")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Transparent(KEY), "plaintext"),
        (lambda: Unbound(KEY), "other/1/value"),
        (lambda: BoundToTableOnly(KEY), "self_test/2/value"),
        (lambda: StoreCipher(KEY, nonce=bytes), "randomness"),
    ],
)
def test_the_self_test_refuses_broken_ciphers(make: Callable[[], StoreCipher], text: str) -> None:
    with pytest.raises(StoreKeyError, match=text):
        make().self_test()


def test_the_key_is_made_once_at_the_first_start_only(tmp_path: Path) -> None:
    with pytest.raises(StoreKeyError, match="restore it from a backup"):
        load_store_key(tmp_path, {}, may_create=False)
    key = load_store_key(tmp_path, {}, may_create=True)
    assert load_store_key(tmp_path, {}, may_create=False) == key
    file = tmp_path / "store.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    file.chmod(0o444)
    with pytest.raises(StoreKeyError, match="opened by others"):
        load_store_key(tmp_path, {}, may_create=False)


@pytest.mark.parametrize("content", [KEY, KEY.hex().encode() + b"\n", KEY.hex().upper().encode()])
def test_the_credential_wins_over_the_file(tmp_path: Path, content: bytes) -> None:
    load_store_key(tmp_path, {}, may_create=True)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "pilotage-key").write_bytes(content)
    assert load_store_key(tmp_path, {"CREDENTIALS_DIRECTORY": str(credentials)}, may_create=False) == KEY


@pytest.mark.parametrize("content", [b"", b"short", b"zz" * 32, KEY.hex().encode()[:-1]])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "store.key"
    file.write_bytes(content)
    file.chmod(0o400)
    with pytest.raises(StoreKeyError, match="holds no key"):
        load_store_key(tmp_path, {}, may_create=True)


def test_fingerprints_tell_keys_apart_and_show_nothing() -> None:
    assert StoreCipher(KEY).fingerprint != StoreCipher(bytes(32)).fingerprint
    assert KEY.hex()[:8] not in StoreCipher(KEY).fingerprint


def unseal(recipient: X25519PrivateKey, sealed: bytes, context: bytes) -> bytes:
    """Written from the description of the format, not from the code."""
    ephemeral, nonce, body = sealed[:32], sealed[32:44], sealed[44:]
    public = recipient.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    shared = recipient.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    key = HKDF(hashes.SHA256(), 32, salt=ephemeral + public, info=b"pilotage sealed secret v1").derive(shared)
    return AESGCM(key).decrypt(nonce, body, context)


def test_a_sealed_secret_opens_for_its_agent_and_its_attempt_only() -> None:
    agent, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    public = agent.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key = AttemptKey("exe_1", "group/step", "db1", "", AttemptKind.RUN, 1)
    context = attempt_context(key, "restic")
    assert context == b"exe_1/group.step/db1//run/1\nrestic"
    assert query_context("qry_1", "restic") == b"qry_1\nrestic"
    sealed = seal(public, b"hush", context)
    assert unseal(agent, sealed, context) == b"hush"
    assert sealed != seal(public, b"hush", context)
    for recipient, bound in (
        (other, context),
        (agent, attempt_context(key, "other")),
        (agent, query_context("q", "restic")),
    ):
        with pytest.raises(InvalidTag):
            unseal(recipient, sealed, bound)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), b"\x01" + bytes(31)])
def test_unusable_sealing_keys_are_refused(public: bytes) -> None:
    with pytest.raises(SealingError):
        check_sealing_key(public)
    with pytest.raises(SealingError):
        seal(public, b"hush", b"")
