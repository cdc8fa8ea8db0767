"""The audit log as people use it: checked with its signature, and told in lines that prove themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pilotage_coordinator.audit.chain import AuditVerdict
from pilotage_coordinator.audit.entry import AuditHead, AuditRecord
from pilotage_coordinator.audit.export import entry_line, head_line
from pilotage_coordinator.audit.head import HeadSigner, SignedHead
from pilotage_coordinator.store.errors import NotFound, Refused
from pilotage_coordinator.store.protocol import AuditStore


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of the log in order; `next` is the entry after which to go on, 0 at the end."""

    lines: Sequence[str]
    next: int


@dataclass(slots=True)
class AuditLog:
    """Reads the log, and checks it against the coordinator's key and what hosts have seen."""

    store: AuditStore
    key: HeadSigner
    fingerprint: str
    """Of the key, as people compare it."""
    witnessed: Callable[[], Mapping[str, SignedHead]] = field(default=dict)
    """Host to the newest head that it has told of, with a signature of our own key."""

    async def verify(self, known: Sequence[AuditHead] = ()) -> AuditVerdict:
        """Check the whole log: its chain, its signed head, `known`, and what hosts have seen."""
        witnesses = [each.head for each in self.witnessed().values()]
        verdict = await self.store.verify((*known, *witnesses))
        signed = verdict.signed
        if verdict.fault or (signed is not None and self.key.verify(signed.statement, signed.signature)):
            return verdict
        return replace(verdict, fault="the signed head carries no signature of this coordinator's audit key")

    async def lines(self, after: int, limit: int, until: int) -> Lines:
        """Return entries after one, at most up to `until`, each as its line.

        Raises store.Refused at an entry that has no line: somebody edited it.
        """
        try:
            return _lines(await self.store.read(after, limit), limit, until)
        except ValueError as error:
            raise Refused(
                f"an entry after {after} cannot be written ({error}): `pilotage audit verify` names it"
            ) from error

    async def head(self) -> tuple[SignedHead, str]:
        """Return the signed head, and its line in an export; raises store.NotFound while nothing is signed."""
        signed = await self.store.signed_head()
        if signed is None:
            raise NotFound("the audit log has no signed head")
        return signed, head_line(signed)


def _lines(records: Sequence[AuditRecord], limit: int, until: int) -> Lines:
    shown = [each for each in records if each.sequence <= until]
    more = len(records) == limit and len(shown) == limit and shown[-1].sequence < until
    return Lines([entry_line(each) for each in shown], shown[-1].sequence if more else 0)
