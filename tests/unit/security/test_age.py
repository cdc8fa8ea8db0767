"""Files that `age` can read, and files of `age` that we can."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pilotage_coordinator.security.age import decrypt, encrypt, read_identity, read_recipient
from pilotage_coordinator.security.errors import AgeError
from pyrage import x25519

CHUNK = 64 * 1024
OURS, OTHER = x25519.Identity.generate(), x25519.Identity.generate()


def sealed(plain: bytes, *recipients: Any) -> bytes:
    out = io.BytesIO()
    encrypt(io.BytesIO(plain), out, recipients or (OURS.to_public(),))
    return out.getvalue()


def opened(data: bytes, identity: Any = OURS) -> bytes:
    out = io.BytesIO()
    decrypt(io.BytesIO(data), out, identity)
    return out.getvalue()


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_is_encrypted_comes_back_for_each_recipient(length: int) -> None:
    plain = bytes(length % 251 for length in range(length))
    data = sealed(plain, OURS.to_public(), OTHER.to_public())
    assert opened(data) == opened(data, OTHER) == plain
    with pytest.raises(AgeError, match="cannot be opened with this identity"):
        opened(data, x25519.Identity.generate())


def test_a_changed_or_cut_file_is_refused_wherever_it_was_changed() -> None:
    plain = b"p" * (CHUNK + 100)
    data = sealed(plain)
    header = data.index(b"\n---")
    for position in (0, 30, 60, header + 6, header + 60, header + 80, len(data) - 1, len(data) - 200):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(AgeError):
            opened(bytes(changed))
    for length in (0, 10, header, header + 60, len(data) - 1, len(data) - 116):
        with pytest.raises(AgeError):
            opened(data[:length])
    with pytest.raises(AgeError):
        opened(data + b"more")


def test_what_the_disk_refuses_is_no_fault_of_the_file() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        decrypt(io.BytesIO(sealed(b"p" * CHUNK)), Full(), OURS)


@pytest.mark.parametrize("text", ["", "age1", "age1qqqq", "AGE-SECRET-KEY-1QQ", "# only a comment", "x" * 3000])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(AgeError):
        read_recipient(text)
    with pytest.raises(AgeError):
        read_identity(text)


@pytest.mark.skipif(shutil.which("age") is None, reason="the program age is not installed")
def test_the_program_age_reads_ours_and_we_read_its(tmp_path: Path) -> None:
    key, plain = tmp_path / "key.txt", b"secret " * 20_000
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    shown = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout
    recipient, identity = read_recipient(shown), read_identity(key.read_text())
    assert str(identity.to_public()) == str(recipient) == shown.strip()
    (tmp_path / "ours.age").write_bytes(sealed(plain, recipient))
    read = subprocess.run(["age", "-d", "-i", key, tmp_path / "ours.age"], check=True, capture_output=True)
    assert read.stdout == plain
    (tmp_path / "plain").write_bytes(plain)
    subprocess.run(["age", "-r", shown.strip(), "-o", tmp_path / "its.age", tmp_path / "plain"], check=True)
    assert opened((tmp_path / "its.age").read_bytes(), identity) == plain
    typo = shown.strip()[:-1] + ("q" if shown.strip()[-1] != "q" else "p")
    with pytest.raises(AgeError, match="mistyped"):
        read_recipient(typo)
