"""The public keys that a user of this machine has, where OpenSSH keeps them."""

from pathlib import Path
from typing import Final

FILES: Final = ("id_ed25519_sk.pub", "id_ecdsa_sk.pub", "id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
LARGEST: Final = 16_384


def public_key_lines(home: Path) -> tuple[str, ...]:
    """Return the lines of the user's default public keys; what cannot be read is left out. No private key is opened."""
    found: list[str] = []
    for name in FILES:
        try:
            with (home / ".ssh" / name).open("rb") as file:
                found.append(file.read(LARGEST).decode("ascii").strip())
        except (OSError, UnicodeDecodeError):
            continue
    return tuple(found)
