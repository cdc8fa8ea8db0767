"""What a person signs to decide: the approval, its plan, and yes or no. Standard library only.

The coordinator verifies it before a decision counts; an agent that pins approvers' keys verifies it once more before a
destructive step. The bytes are canonical JSON, signed with `ssh-keygen -Y sign -n decision@pilotage`.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pilotage_proto.canonical import canonical

NAMESPACE: Final = "decision@pilotage"
"""The namespace of the signature: one that was made for anything else is none of a decision."""

Answer: TypeAlias = Literal["approve", "reject"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One decision as it is signed."""

    approval: str
    """The request's id, `apr_…`; never given twice, so that a signature is good for one request alone."""
    decision: Answer
    plan_digest: str
    """`sha256:…` of the plan that was shown."""

    def signed_bytes(self) -> bytes:
        """Return the bytes that the signature is over."""
        return canonical(
            {"approval": self.approval, "decision": self.decision, "plan_digest": self.plan_digest},
        )
