"""The words that coordinator and agent share: what fleet.proto numbers, journals write and digests cover.

One enumeration for each, so that the two sides cannot drift apart; each side's wire module maps them to the numbers.
"""

from enum import StrEnum


class Effect(StrEnum):
    """What starting a step may do, and so how often it may be started (SEMANTICS, Steps)."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    PROBE = "probe"
    ONCE = "once"

    @property
    def restartable(self) -> bool:
        """Return whether an interrupted attempt may simply be made again."""
        return self in (Effect.READ, Effect.IDEMPOTENT)

    @property
    def starts_once(self) -> bool:
        """Return whether a second start of one attempt would break a promise."""
        return not self.restartable


class Outcome(StrEnum):
    """How an attempt ended, as its agent saw it; these words are also what a result's digest covers."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Stopped because a cancel asked; `started_at` is 0 when it never began."""
    INTERRUPTED = "interrupted"
    """Began, and nobody knows how it ended."""
    DECLINED = "declined"
    """Never begun and never will be under this key; the error says why."""


class FailureKind(StrEnum):
    """Whose news a failure is: of an attempt, a step run or an execution (SEMANTICS, States)."""

    PARAMETER = "parameter"
    TARGET = "target"
    POLICY = "policy"
    APPROVAL = "approval"
    STEP = "step"
    INFRASTRUCTURE = "infrastructure"


class JournalState(StrEnum):
    """How far an agent's journal knows an attempt to be."""

    ACCEPTED = "accepted"
    STARTED = "started"
    EXITED = "exited"


class QueryPurpose(StrEnum):
    """Why a plan asks a host."""

    PREVIEW = "preview"
    READ = "read"


class RefusalReason(StrEnum):
    """Why a coordinator will not hold a session."""

    PROTOCOL = "protocol"
    REVOKED = "revoked"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    STALE_SESSION = "stale_session"
    BAD_MESSAGE = "bad_message"
    OLD_COORDINATOR = "old_coordinator"
