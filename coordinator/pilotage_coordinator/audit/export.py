"""The export: JSON Lines that prove themselves. docs/audit.md tells third parties how to check one.

Every line of an entry is exactly the text that was hashed, so that the next line's `previous` is the SHA-256 of this
one; the last line is the signed head.
"""

import base64

from pilotage_proto.canonical import canonical

from pilotage_coordinator.audit.entry import AuditRecord, line
from pilotage_coordinator.audit.head import SignedHead


def entry_line(record: AuditRecord) -> str:
    """Return an entry's line, without a line break."""
    return line(record.sequence, record.previous, record.entry).decode()


def head_line(head: SignedHead) -> str:
    """Return the last line, without a line break."""
    return canonical(
        {
            "log": head.log,
            "sequence": head.sequence,
            "hash": head.hash,
            "key": head.key.hex(),
            "signature": base64.b64encode(head.signature).decode(),
        }
    ).decode()
