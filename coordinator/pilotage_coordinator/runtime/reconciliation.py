"""What a new session tells of the attempts that are open for its host: pure."""

from collections.abc import Iterable, Mapping, Sequence
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
    missing: Iterable[AttemptKey] = (key for key in open_attempts if key not in entries) if journal_replaced else ()
    lost = tuple(
        AttemptReport(
            key=key,
            epoch=open_attempts[key],
            outcome=Outcome.INTERRUPTED,
            error="the agent's journal was lost or replaced, and with it what became of this attempt",
            ended_at=now,
            evidence={"journal": "replaced"},
        )
        for key in missing
    )
    return Reconciliation(started, lost, strangers)
