"""Logs to check: a key, some entries of every shape, and their export."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pilotage_coordinator.audit.entry import AuditEntry, AuditHead, AuditRecord, link
from pilotage_coordinator.audit.export import entry_line, head_line
from pilotage_coordinator.audit.head import signed
from pilotage_coordinator.security.audit_key import AuditKey

LOG = "coo_1"
ENTRIES = (
    AuditEntry(1_790_000_000_000_000, "ann", "secret.set", "restic/db1", "allowed", {"principal_kind": "person"}),
    AuditEntry(1_790_000_000_000_001, "bot", "run.start", "", "denied", {"permission": "run.start"}),
    AuditEntry(1_790_000_000_000_002, "ann", "run.start", "exe_ä", "allowed", {"n": 1e21, "x": [True, None, -0.5]}),
    AuditEntry(1_790_000_000_000_003, "coordinator", "step.start", "exe_ä", "allowed", {"starts": ["a@h run 1"]}),
)


def audit_key(*, fresh: bool = True) -> AuditKey:
    """Return a key that signs the audit log, the same each time."""
    return AuditKey(Ed25519PrivateKey.from_private_bytes(b"k" * 32), Path("/nowhere"), fresh)


def records() -> list[AuditRecord]:
    """Return the entries in their chain."""
    found: list[AuditRecord] = []
    head = AuditHead()
    for entry in ENTRIES:
        hash_ = link(head.sequence + 1, head.hash, entry)
        found.append(AuditRecord(head.sequence + 1, entry, head.hash, hash_))
        head = AuditHead(head.sequence + 1, hash_)
    return found


def exported() -> bytes:
    """Return their export."""
    chain = records()
    end = signed(LOG, AuditHead(chain[-1].sequence, chain[-1].hash), audit_key())
    lines = [entry_line(each) for each in chain] + [head_line(end)]
    return "".join(line + "\n" for line in lines).encode()
