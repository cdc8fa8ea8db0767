"""Make a repository's password cheap to try, which restic makes dear on purpose: half a second of computing each time.

The format is restic's own (its design document, "Keys, Encryption and MAC"): the password and scrypt's parameters in
the key's file give a key by which the repository's master key, in the same file, is encrypted.
"""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

PASSWORD: Final = b"correct horse battery staple 7261"
"""Of the repositories that tests share."""

_BLOCK: Final = 16
_CHEAP: Final = {"N": 2, "r": 1, "p": 1}


def make_password_cheap(repository: Path, password: bytes) -> None:
    """Replace the only key of a repository by one of the same password that takes no time to try."""
    [path] = (repository / "keys").iterdir()
    key = json.loads(path.read_bytes())
    master = _decrypt(_derive(password, key), base64.b64decode(key["data"]))
    key |= _CHEAP
    key["data"] = base64.b64encode(_encrypt(_derive(password, key), master)).decode()
    content = json.dumps(key).encode()
    path.unlink()
    (path.parent / hashlib.sha256(content).hexdigest()).write_bytes(content)


def _derive(password: bytes, key: dict[str, Any]) -> bytes:
    """Return 32 bytes to encrypt with, then 16 for the nonce and 16 for the message of the code of authenticity."""
    salt = base64.b64decode(key["salt"])
    room = 256 * key["N"] * key["r"] + (1 << 20)
    return hashlib.scrypt(password, salt=salt, n=key["N"], r=key["r"], p=key["p"], dklen=64, maxmem=room)


def _decrypt(key: bytes, data: bytes) -> bytes:
    iv, text, code = data[:_BLOCK], data[_BLOCK:-_BLOCK], data[-_BLOCK:]
    Poly1305.verify_tag(_code_key(key, iv), text, code)
    return Cipher(algorithms.AES(key[:32]), modes.CTR(iv)).decryptor().update(text)


def _encrypt(key: bytes, text: bytes) -> bytes:
    iv = os.urandom(_BLOCK)
    hidden = Cipher(algorithms.AES(key[:32]), modes.CTR(iv)).encryptor().update(text)
    return iv + hidden + Poly1305.generate_tag(_code_key(key, iv), hidden)


def _code_key(key: bytes, iv: bytes) -> bytes:
    nonce = Cipher(algorithms.AES(key[32:48]), modes.ECB()).encryptor().update(iv)
    return key[48:64] + nonce
