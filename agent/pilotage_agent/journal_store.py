"""The port behind the journal: one transaction at a time, durable when it returns; and a store in memory."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.approval.use import Name, Use
from pilotage_agent.ledger import Entry
from pilotage_agent.settled import Settled
from pilotage_agent.witness import Witness


@dataclass(frozen=True, slots=True)
class JournalHead:
    """What the journal knows beside its entries."""

    journal_id: str
    sequence: int = 0
    session_counter: int = 0
    highest_epoch: int = 0
    horizon: int = 0
    witness: Witness | None = None
    """The newest head of the coordinator's audit log that was seen."""
    approvals_floor: int = 0
    """Approvals that were asked for until then (UTC µs) do not count any more."""


@dataclass(frozen=True, slots=True)
class JournalContent:
    """Everything that a store holds."""

    head: JournalHead
    entries: tuple[Entry, ...] = ()
    settled: tuple[Settled, ...] = ()
    consumed_approvals: frozenset[str] = frozenset()
    uses: tuple[Use, ...] = ()
    """What approvals were used for."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Changes that become durable together. `forgotten` entries and `dropped` runs are deleted."""

    head: JournalHead
    entries: tuple[Entry, ...] = ()
    forgotten: tuple[AttemptKey, ...] = ()
    settled: tuple[Settled, ...] = ()
    dropped: tuple[bytes, ...] = ()
    consumed_approvals: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    forgotten_uses: tuple[Name, ...] = ()


class JournalStore(Protocol):
    """Where transactions go. `commit` returns when the transaction survives a power cut, or raises
    JournalUnwritable; after a failure the transaction may or may not be found later. Calls never overlap."""

    def load(self) -> JournalContent:
        """Read everything; called once, first."""

    def commit(self, transaction: Transaction) -> None:
        """Apply and make durable."""

    def close(self) -> None:
        """Release what the store holds."""


class Commits(Protocol):
    """How a transaction reaches the store without blocking the event loop."""

    async def commit(self, transaction: Transaction) -> None:
        """Return when it is durable; raises JournalUnwritable."""

    async def close(self) -> None:
        """Finish what is under way and close the store."""


@dataclass
class MemoryJournalStore:
    """A store for tests and the simulation; what was committed outlives the Journal object that wrote it."""

    content: JournalContent
    before_commit: Callable[[Transaction], None] = field(default=lambda transaction: None)
    """Raise JournalUnwritable here to model a full disk."""

    def load(self) -> JournalContent:
        return self.content

    def commit(self, transaction: Transaction) -> None:
        self.before_commit(transaction)
        entries = {entry.key: entry for entry in self.content.entries}
        entries.update((entry.key, entry) for entry in transaction.entries)
        for key in transaction.forgotten:
            entries.pop(key, None)
        settled = {record.run: record for record in self.content.settled}
        settled.update((record.run, record) for record in transaction.settled)
        for run in transaction.dropped:
            settled.pop(run, None)
        uses = {use.name: use for use in self.content.uses}
        uses.update((use.name, use) for use in transaction.uses)
        for name in transaction.forgotten_uses:
            uses.pop(name, None)
        self.content = JournalContent(
            head=transaction.head,
            entries=tuple(entries.values()),
            settled=tuple(settled.values()),
            consumed_approvals=self.content.consumed_approvals | set(transaction.consumed_approvals),
            uses=tuple(uses.values()),
        )

    def close(self) -> None:
        pass


class InlineCommits:
    """Commits in the calling task; `delay` stands for the time of an fsync and is where a simulation may crash."""

    def __init__(self, store: JournalStore, delay: Callable[[], Awaitable[None]] | None = None) -> None:
        self._store = store
        self._delay = delay

    async def commit(self, transaction: Transaction) -> None:
        if self._delay is not None:
            await self._delay()
        self._store.commit(transaction)

    async def close(self) -> None:
        self._store.close()
