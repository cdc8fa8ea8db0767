"""The signed end of the log: who holds one can tell a log that was cut, rewritten or replaced by an older copy."""

from dataclasses import dataclass
from typing import Protocol

from pilotage_proto.audit_head import head_statement

from pilotage_coordinator.audit.entry import AuditHead


class HeadSigner(Protocol):
    """Signs heads: `security.audit_key.AuditKey`. Called in the thread that writes the database."""

    @property
    def public(self) -> bytes:
        """The raw Ed25519 public key."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether the key was made at this start, so that nothing can have been signed by it before."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        ...

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key has signed a message."""
        ...


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The end of one log, signed. `key` is the raw public key whose signature it carries."""

    log: str
    """The id of the coordinator whose log it is."""
    sequence: int
    hash: str
    key: bytes
    signature: bytes

    @property
    def head(self) -> AuditHead:
        """Return the place in the chain."""
        return AuditHead(self.sequence, self.hash)

    @property
    def statement(self) -> bytes:
        """Return the bytes that were signed."""
        return head_statement(self.log, self.sequence, self.hash)


def signed(log: str, head: AuditHead, signer: HeadSigner) -> SignedHead:
    """Return a head with its signature."""
    signature = signer.sign(head_statement(log, head.sequence, head.hash))
    return SignedHead(log, head.sequence, head.hash, signer.public, signature)
