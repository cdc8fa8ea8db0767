"""Following the chain: which link is the first that does not hold, and what is wrong with it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilotage_proto.canonical import CanonicalError

from pilotage_coordinator.audit.entry import AuditHead, AuditRecord, link
from pilotage_coordinator.audit.head import SignedHead


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is no entry any more; `sequence` is where it stands, `reason` what cannot be read."""

    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What checking the chain found. `fault` is empty when every link holds, else it names the first that does not."""

    checked: int
    """Entries that hold."""
    head: AuditHead
    """The last good link."""
    fault: str = ""
    signed: SignedHead | None = None
    """The signed head that lies on the chain, if its log has one."""


def follow(
    head: AuditHead, records: Iterable[AuditRecord | Unreadable], known: Sequence[AuditHead] = ()
) -> tuple[AuditHead, str]:
    """Follow the chain from `head`; returns the last good link, and what is wrong with the next (empty: nothing).

    `known` are heads that were seen earlier: each must lie on the chain as it was.
    """
    seen: dict[int, set[str]] = defaultdict(set)
    for each in known:
        seen[each.sequence].add(each.hash)
    for record in records:
        place = f"audit entry {record.sequence}"
        if record.sequence != head.sequence + 1:
            return head, f"audit entry {head.sequence + 1} is missing"
        if isinstance(record, Unreadable):
            return head, f"{place} cannot be read: {record.reason}"
        if record.previous != head.hash:
            return head, f"{place} does not follow the entry before it"
        if record.hash != _link(record):
            return head, f"{place} was changed: its content does not give its hash"
        if seen.get(record.sequence, set()) - {record.hash}:
            return head, f"{place} is not the one that was seen earlier: history was rewritten"
        head = AuditHead(record.sequence, record.hash)
    return head, ""


def _link(record: AuditRecord) -> str:
    """Return the hash that a record must have; empty for a content that no entry can have."""
    try:
        return link(record.sequence, record.previous, record.entry)
    except CanonicalError:
        return ""


def cut_off(head: AuditHead, known: Sequence[AuditHead]) -> str:
    """Return what a chain that ends at `head` lacks of heads that were seen earlier; empty: nothing."""
    furthest = max(known, key=lambda each: each.sequence, default=AuditHead())
    if furthest.sequence <= head.sequence:
        return ""
    return f"the log ends at entry {head.sequence}, but entry {furthest.sequence} was seen earlier"


def against_signed(head: AuditHead, newest: SignedHead | None) -> str:
    """Return what is wrong between a chain's end and the head that was signed with it; empty: nothing."""
    if newest is None or newest.head == head:
        return ""
    if newest.sequence > head.sequence:
        return f"the log ends at entry {head.sequence}, but its signed head is entry {newest.sequence}: the end was cut"
    if newest.sequence < head.sequence:
        return f"audit entry {newest.sequence + 1} is not signed: the signed head is entry {newest.sequence}"
    return f"audit entry {head.sequence} is not the one that was signed: history was rewritten"
