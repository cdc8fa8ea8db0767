"""What the audit log says of attempts before any of them can begin: one entry for those that are decided together."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from pilotage_coordinator.audit.entry import AuditEntry
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.store.records import AttemptRecord

OPERATION: Final = "step.start"
MOST_NAMED: Final = 500
"""Attempts that one entry names: keeps a line of an export well below a megabyte."""


def starts(state: ExecutionState, attempts: Sequence[AttemptRecord], at: int) -> Iterator[AuditEntry]:
    """Yield the entries about new attempts; they are stored in the transaction that makes them."""
    waiting = iter(attempts)
    while named := [str(each.key).partition("/")[2] for each in islice(waiting, MOST_NAMED)]:
        detail = {
            "principal_kind": "coordinator",
            "requested_by": state.requested_by,
            "plan_digest": state.plan.digest,
            "starts": named,
        }
        yield AuditEntry(at, "coordinator", OPERATION, state.id, "allowed", detail)
