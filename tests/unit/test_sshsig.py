"""Signatures of OpenSSH, made by its own program: what counts, and everything that does not."""

import base64
import hashlib
import struct
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_proto.decision import NAMESPACE, Statement
from pilotage_proto.sshsig import KeyRefused, PublicKey, SignatureRefused, read_key, verify

KINDS = {
    "ssh-ed25519": ["-t", "ed25519"],
    "ecdsa-sha2-nistp256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-sha2-nistp384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa-sha2-nistp521": ["-t", "ecdsa", "-b", "521"],
    "ssh-rsa": ["-t", "rsa", "-b", "3072"],
}
STATEMENT = Statement("apr_1", "approve", "sha256:aa")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name, options in KINDS.items():
        file = folder / name
        subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-C", "anna@desk", "-f", str(file)], check=True)
    return {name: folder / name for name in KINDS}


def sign(key: Path, message: bytes, namespace: str = NAMESPACE) -> str:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key)]
    return subprocess.run(command, input=message, check=True, capture_output=True).stdout.decode()


def public(key: Path) -> PublicKey:
    return read_key(key.with_name(f"{key.name}.pub").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_program_signs_is_verified(keys: dict[str, Path], kind: str) -> None:
    message = STATEMENT.signed_bytes()
    key = public(keys[kind])
    assert key.type == kind
    verify(sign(keys[kind], message), message, NAMESPACE, key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other",
    [
        Statement("apr_2", "approve", "sha256:aa"),
        Statement("apr_1", "reject", "sha256:aa"),
        Statement("apr_1", "approve", "sha256:ab"),
    ],
)
def test_a_signature_is_good_for_one_statement(keys: dict[str, Path], kind: str, other: Statement) -> None:
    signature = sign(keys[kind], STATEMENT.signed_bytes())
    with pytest.raises(SignatureRefused, match="this key has signed something else"):
        verify(signature, other.signed_bytes(), NAMESPACE, public(keys[kind]))


def test_a_signature_for_something_else_is_none(keys: dict[str, Path]) -> None:
    signature = sign(keys["ssh-ed25519"], STATEMENT.signed_bytes(), "git")
    with pytest.raises(SignatureRefused, match="signed for `git`, not for `decision@pilotage`"):
        verify(signature, STATEMENT.signed_bytes(), NAMESPACE, public(keys["ssh-ed25519"]))


def test_the_key_of_another_does_not_verify(keys: dict[str, Path]) -> None:
    signature = sign(keys["ssh-ed25519"], STATEMENT.signed_bytes())
    with pytest.raises(SignatureRefused, match="another key"):
        verify(signature, STATEMENT.signed_bytes(), NAMESPACE, public(keys["ssh-rsa"]))


def test_the_fingerprint_is_the_one_that_openssh_shows(keys: dict[str, Path]) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{keys['ssh-ed25519']}.pub"], check=True, capture_output=True, text=True
    )
    assert public(keys["ssh-ed25519"]).fingerprint in shown.stdout


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def hardware(flags: int, application: bytes = b"ssh:") -> tuple[PublicKey, str]:
    """A key that answers as one on hardware does, and its signature of the statement."""
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    name = b"sk-ssh-ed25519@openssh.com"
    blob = _string(name) + _string(raw) + _string(application)
    hashed = hashlib.sha512(STATEMENT.signed_bytes()).digest()
    signed = b"SSHSIG" + b"".join(map(_string, (NAMESPACE.encode(), b"", b"sha512", hashed)))
    touched = bytes([flags]) + struct.pack(">I", 7)
    asked = hashlib.sha256(application).digest() + touched + hashlib.sha256(signed).digest()
    made = _string(name) + _string(private.sign(asked)) + touched
    parts = (blob, NAMESPACE.encode(), b"", b"sha512", made)
    body = base64.b64encode(b"SSHSIG" + struct.pack(">I", 1) + b"".join(map(_string, parts))).decode()
    text = f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n"
    return read_key(f"{name.decode()} {base64.b64encode(blob).decode()}"), text


def test_a_key_on_hardware_counts_when_somebody_touched_it() -> None:
    key, signature = hardware(flags=1)
    verify(signature, STATEMENT.signed_bytes(), NAMESPACE, key)
    key, signature = hardware(flags=0)
    with pytest.raises(SignatureRefused, match="nobody touched"):
        verify(signature, STATEMENT.signed_bytes(), NAMESPACE, key)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no OpenSSH public key"),
        ("ssh-ed25519", "no OpenSSH public key"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "cannot sign decisions"),
        ("ssh-ed25519 !!!", "no OpenSSH public key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "no OpenSSH public key"),
        ("ssh-ed25519 AAAA\nssh-ed25519 AAAA", "no OpenSSH public key"),
        ("x" * 5000, "no OpenSSH public key"),
    ],
)
def test_what_is_no_key(text: str, why: str) -> None:
    with pytest.raises(KeyRefused, match=why):
        read_key(text)


def test_a_key_of_another_type_than_it_says_is_refused(keys: dict[str, Path]) -> None:
    blob = keys["ssh-rsa"].with_name("ssh-rsa.pub").read_text().split()[1]
    with pytest.raises(KeyRefused, match="not of the type ssh-ed25519"):
        read_key(f"ssh-ed25519 {blob}")


def test_a_short_rsa_key_is_refused(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(tmp_path / "k")], check=True)
    with pytest.raises(KeyRefused, match="at least 2048 bits"):
        read_key((tmp_path / "k.pub").read_text())


@settings(max_examples=300)
@given(cut=st.integers(0, 400), flip=st.integers(0, 2000))
def test_a_damaged_signature_is_refused_and_never_an_error_of_ours(cut: int, flip: int) -> None:
    key, signature = hardware(flags=1)
    body = bytearray(base64.b64decode("".join(signature.splitlines()[1:-1])))
    if cut:
        del body[-cut:]
    elif flip:
        body[flip % len(body)] ^= 1 << (flip % 8)
    else:
        return
    text = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(bytes(body)).decode()}\n-----END SSH SIGNATURE-----"
    with pytest.raises(SignatureRefused):
        verify(text, STATEMENT.signed_bytes(), NAMESPACE, key)
