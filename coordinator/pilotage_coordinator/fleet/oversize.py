"""What is too large for one message to a host: refused by name, as a stream that carried it would break each time."""

from pilotage_proto.canonical import digest
from pilotage_proto.limits import LARGEST_ITEM

from pilotage_coordinator.domain.fleet import Assignment, AttemptReport, Outcome, Query, QueryAnswer
from pilotage_coordinator.domain.plan import FailureKind

_HINT = "give the step a path or an address instead of the content itself"


def declined(assignment: Assignment, size: int) -> AttemptReport:
    """Return how an attempt ends that cannot be sent: never begun, as its agent would say it."""
    error = (
        f"not sent: with its parameters this attempt takes {size} bytes, at most {LARGEST_ITEM} can be sent; {_HINT}"
    )
    return AttemptReport(
        assignment.key,
        assignment.epoch,
        Outcome.DECLINED,
        digest=digest({"outcome": Outcome.DECLINED.value, "outputs": {}, "error": error}),
        failure_kind=FailureKind.PARAMETER,
        error=error,
    )


def unanswerable(query: Query, size: int) -> QueryAnswer:
    """Return the answer to a query that cannot be sent."""
    text = f"a query about {query.step_type} takes {size} bytes, at most {LARGEST_ITEM} can be sent; {_HINT}"
    return QueryAnswer(False, {}, FailureKind.PARAMETER, text)
