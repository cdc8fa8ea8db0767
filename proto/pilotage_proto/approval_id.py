"""The id of a request for approval: made from what it is about, so that an agent can check that. Standard library only.

An approver signs the id. As it is a digest of the execution, of the gate and of the time of asking, a signature given
for one of them is good for no other, whoever passes it on.
"""

import hashlib
from typing import Final

from pilotage_proto.canonical import canonical

PREFIX: Final = "apr_"
_DIGITS: Final = 32


def approval_id(execution: str, gate: str, number: int, at: int) -> str:
    """Return the id of an execution's request number `number` (from 1), asked at `at` (UTC microseconds) at a gate."""
    return PREFIX + hashlib.sha256(canonical([execution, gate, number, at])).hexdigest()[:_DIGITS]
