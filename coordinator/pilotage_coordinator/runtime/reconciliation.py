"""What a new session tells of the attempts that are open for its host: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.fleet import AttemptReport, JournalEntry, JournalState, Outcome


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What follows from comparing the coordinator's open attempts with an agent's journal."""

    started: tuple[JournalEntry, ...] = ()
    """Open here, begun there."""
    lost: tuple[AttemptReport, ...] = ()
    """Open here; the journal that knew of them is gone: nobody knows whether they began."""
    strangers: tuple[JournalEntry, ...] = ()
    """Running there, not open here: the coordinator was restored from an older copy, or gave them up."""
    absent: frozenset[AttemptKey] = frozenset()
    """Open here, not begun there: sent again, unless their agent once said that they run (see `forgotten`)."""
    held: frozenset[AttemptKey] = frozenset()
    """Open here, begun or ended there, of the same assignment: not sent again, so that their fence stays."""


def reconcile(
    open_attempts: Mapping[AttemptKey, int], journal: Sequence[JournalEntry], *, journal_replaced: bool, now: int
) -> Reconciliation:
    """Compare. `open_attempts` maps each attempt that is open for the host to the epoch of its assignment.

    An open attempt that an unbroken journal does not hold never reached the agent: it is sent again. One that a *new*
    journal does not hold may have run under the old one (SEMANTICS: journal missing or corrupt).
    """
    entries = {entry.key: entry for entry in journal}
    started = tuple(
        entry for key, entry in entries.items() if key in open_attempts and entry.state is JournalState.STARTED
    )
    strangers = tuple(
        entry for key, entry in entries.items() if key not in open_attempts and entry.state is JournalState.STARTED
    )
    absent = frozenset(
        key for key in open_attempts if key not in entries or entries[key].state is JournalState.ACCEPTED
    )
    held = frozenset(
        key
        for key, entry in entries.items()
        if entry.state is not JournalState.ACCEPTED and open_attempts.get(key) == entry.epoch
    )
    lost = tuple(
        _interrupted(
            key,
            open_attempts[key],
            "the agent's journal was lost or replaced, and with it what became of this attempt",
            "replaced",
            now,
        )
        for key in open_attempts
        if journal_replaced and key not in entries
    )
    return Reconciliation(started, lost, strangers, absent, held)


def forgotten(key: AttemptKey, epoch: int, now: int) -> AttemptReport:
    """Return the end of an attempt that its agent began and does not know any more, though its journal is unbroken.

    That STARTED record was not on the disk when the host lost its power: it is that of a `read` or `idempotent` step,
    for which no fsync is waited (SEMANTICS: Agent journal), so the attempt is made again under a new number. Or this
    coordinator was restored from a backup and has forgotten the end, of whatever attempt.
    """
    text = (
        "its host began this attempt and knows nothing of it any more: the host lost its power, "
        "or this coordinator was restored from a backup in which the attempt ran"
    )
    return _interrupted(key, epoch, text, "without it", now)


def _interrupted(key: AttemptKey, epoch: int, error: str, journal: str, now: int) -> AttemptReport:
    return AttemptReport(
        key=key, epoch=epoch, outcome=Outcome.INTERRUPTED, error=error, ended_at=now, evidence={"journal": journal}
    )
