"""What a coordinator signs of its audit log: where it ends, and which key says so.

Coordinator, agents and third parties must sign and check the same bytes. Standard library only; docs/audit.md is the
text for those who have nothing but the export.
"""

from typing import Final

from pilotage_proto.canonical import canonical

FIRST_HASH: Final = "sha256:" + "0" * 64
"""What the first entry of a log names as its predecessor, and the hash of a log without entries."""
_HEAD: Final = b"pilotage audit head v1\n"
_KEY: Final = b"pilotage audit key v1\n"


def head_statement(log: str, sequence: int, hash: str) -> bytes:
    """Return what the audit key signs: the log `log` (a coordinator's id) ends at this entry."""
    return _HEAD + canonical({"log": log, "sequence": sequence, "hash": hash})


def key_statement(log: str, key: bytes) -> bytes:
    """Return what the coordinator's authority signs: this raw Ed25519 public key signs the heads of `log`."""
    return _KEY + canonical({"log": log, "key": key.hex()})
