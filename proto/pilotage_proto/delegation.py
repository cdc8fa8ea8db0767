"""What a person signs to lend their say on approvals: whose, to whom, from when, until when. Standard library only.

The bytes are canonical JSON, signed with `ssh-keygen -Y sign -n delegation@pilotage`. Namespace and fields are not
those of a decision, so that no signature of one can be used as the other.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pilotage_proto.canonical import canonical

NAMESPACE: Final = "delegation@pilotage"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lending:
    """One say that is lent, as it is signed. Times know their zone."""

    delegator: str
    delegate: str
    begins_at: datetime
    ends_at: datetime

    def signed_bytes(self) -> bytes:
        """Return the bytes that the signature is over; `from` and `until` are UTC microseconds."""
        begins, ends = ((each - _EPOCH) // timedelta(microseconds=1) for each in (self.begins_at, self.ends_at))
        return canonical({"delegate": self.delegate, "delegator": self.delegator, "from": begins, "until": ends})

    @property
    def id(self) -> str:
        """Return the delegation's id, made of what is signed: so a signature is good for one delegation alone."""
        return f"dlg_{hashlib.sha256(self.signed_bytes()).hexdigest()[:32]}"
