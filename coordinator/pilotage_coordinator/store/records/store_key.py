"""The row that says with which key a database's ciphertexts are made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreKeyRecord:
    """The key that counts. The key itself is never here."""

    fingerprint: str
    root: bytes
    """What other keys are derived from, encrypted with that key; it stays what it is when the key changes."""
    since: int
    """UTC microseconds."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many ciphertexts were encrypted anew."""

    secrets: int
    plans: int
