"""The agent's private key for secrets, and the door to what is done with it.

`sealed_box.py`, and the library below it, is imported when the first secret comes: an agent that gets none does not
carry its seven mebibytes.
"""

import importlib
from dataclasses import dataclass, field
from typing import Any, Final

_LENGTH: Final = 32
_BOX: Final = "pilotage_agent.sealed_box"


@dataclass(frozen=True, slots=True)
class SealingKey:
    """An X25519 private key, raw."""

    private: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "SealingKey":
        """Read a raw private key; raises ValueError when it is not 32 bytes."""
        if len(raw) != _LENGTH:
            raise ValueError(f"a sealing key has {_LENGTH} bytes, not {len(raw)}")
        return cls(raw)

    @classmethod
    def generate(cls) -> "SealingKey":
        """Make a new key."""
        return cls(_box().new_private())

    def to_bytes(self) -> bytes:
        """Return the raw private key."""
        return self.private

    @property
    def public(self) -> bytes:
        """The raw public key, for which a coordinator seals."""
        public: bytes = _box().public_of(self.private)
        return public

    def unseal(self, context: str, name: str, blob: bytes) -> bytes:
        """Open a secret sealed for `context` (an attempt key, or a query id); raises SealBroken."""
        opened: bytes = _box().unseal(self.private, context, name, blob)
        return opened


def _box() -> Any:
    return importlib.import_module(_BOX)
