"""The write-ahead journal: what this agent promised and did, durable before it is acted on or reported.

ACCEPTED → STARTED → EXITED → acknowledged and forgotten. STARTED is durable before a `once` or `probe` attempt is
handed to its worker, EXITED before its result is sent; ACCEPTED and forgetting ride along with the next transaction.

Group commit: while one transaction is on its way to the disk, every change made meanwhile gathers for the next, so
one fsync serves all who wait. The entries live in memory too, so reading costs nothing. One task at a time may change
one key; different keys are free.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.approval.use import Name, Order, Use, begin, digest_of_json, end
from pilotage_agent.approval.uses import Uses
from pilotage_agent.errors import JournalUnwritable
from pilotage_agent.journal_store import Commits, JournalContent, Transaction
from pilotage_agent.ledger import Entry, Fences
from pilotage_agent.messages import Outcome, Result
from pilotage_agent.settled import Settled, SettledRuns, run_of
from pilotage_agent.witness import Witness

_log = logging.getLogger("pilotage.agent.journal")

RIDE_SECONDS = 1.0
"""How long a change that nobody waits for may stay unwritten."""


class Journal:
    """The journal's content and its way to the disk."""

    def __init__(self, content: JournalContent, commits: Commits) -> None:
        self._head = content.head
        self._entries = {entry.key: entry for entry in content.entries}
        self._settled = SettledRuns(content.settled, content.head.horizon)
        self._approvals = set(content.consumed_approvals)
        self._uses = Uses(content.uses, content.head.approvals_floor)
        self._commits = commits
        self._changed: dict[AttemptKey, None] = {}
        self._new_settled: dict[bytes, Settled] = {}
        self._dropped: dict[bytes, None] = {}
        self._new_approvals: dict[str, None] = {}
        self._changed_uses: dict[Name, None] = {}
        self._head_changed = False
        self._in_flight: frozenset[AttemptKey] = frozenset()
        self._waiting: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._ride: asyncio.TimerHandle | None = None
        self._closed = False
        self._written = content.head.sequence

    @property
    def journal_id(self) -> str:
        """Changes when a journal was lost."""
        return self._head.journal_id

    @property
    def sequence(self) -> int:
        """Records ever durably written. The coordinator remembers it and takes a smaller one for a copied journal, so
        a crash must not take back what was told."""
        return self._written

    @property
    def highest_epoch(self) -> int:
        """The highest coordinator epoch ever seen."""
        return self._head.highest_epoch

    def find(self, key: AttemptKey) -> Entry | None:
        """Return the open entry of a key."""
        return self._entries.get(key)

    def is_durable(self, key: AttemptKey) -> bool:
        """Whether the entry, as it is now, survives a crash."""
        return key not in self._changed and key not in self._in_flight

    @property
    def is_all_durable(self) -> bool:
        """Whether everything recorded so far survives a crash."""
        return not self._is_dirty() and not self._in_flight

    def entries(self) -> Iterator[Entry]:
        """All open entries, oldest first."""
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def fences(self, key: AttemptKey) -> Fences:
        """Return what the rules need to know beside the entry of `key`."""
        newest = 0
        if key not in self._entries:
            run = run_of(key)
            newest = max((entry.key.attempt for entry in self._entries.values() if run_of(entry.key) == run), default=0)
        return Fences(highest_epoch=self._head.highest_epoch, settled=self._settled, newest=newest)

    def note(self, entry: Entry) -> None:
        """Record an entry's newest state; it becomes durable with the next transaction, in about a second at most."""
        self._entries[entry.key] = entry
        self._touch(entry.key)
        self._start_riding()

    async def append(self, entry: Entry) -> None:
        """Record an entry's newest state and return when it is durable; raises JournalUnwritable.

        After a failure the entry keeps the state in memory and is written again with every later transaction, unless
        the caller notes another state.
        """
        self._entries[entry.key] = entry
        self._touch(entry.key)
        await self.flush()

    def forget(self, key: AttemptKey) -> None:
        """Drop an acknowledged attempt; only a small record stays, against a late redelivery."""
        entry = self._entries.pop(key, None)
        if entry is None or entry.result is None:
            return
        record = self._settled.remember(key, entry.result.outcome, began=entry.result.started_at > 0)
        self._new_settled[record.run] = record
        for run in self._settled.prune():
            self._dropped[run] = None
            self._new_settled.pop(run, None)
        self._touch(key)
        self._start_riding()

    def see_epoch(self, epoch: int) -> None:
        """Raise the fence; it becomes durable before anything that the new epoch assigns is started."""
        if epoch > self._head.highest_epoch:
            self._head = replace(self._head, highest_epoch=epoch)
            self._head_changed = True
            self._start_riding()

    @property
    def witness(self) -> Witness | None:
        """The newest head of the coordinator's audit log that was seen."""
        return self._head.witness

    def see_head(self, witness: Witness) -> None:
        """Keep a head of the coordinator's audit log; it becomes durable with the next transaction."""
        if witness != self._head.witness:
            self._head = replace(self._head, witness=witness)
            self._head_changed = True
            self._start_riding()

    async def next_session(self) -> int:
        """Count a session, durably, and return its number."""
        self._head = replace(self._head, session_counter=self._head.session_counter + 1)
        self._head_changed = True
        number = self._head.session_counter
        await self.flush()
        return number

    def approval_consumed(self, approval: str) -> bool:
        """Whether a signed approval was used here before."""
        return approval in self._approvals

    async def consume_approval(self, approval: str) -> None:
        """Record, durably, that a signed approval is used up."""
        self._approvals.add(approval)
        self._new_approvals[approval] = None
        await self.flush()

    @property
    def approvals_floor(self) -> int:
        """Approvals that were asked for until then do not count any more: what they were used for is forgotten."""
        return self._uses.floor

    def begin_use(self, order: Order, number: int, forget_until: int) -> None:
        """Count an attempt that rests on approvals; durable with the entry that is appended next. Raises Unapproved.

        What rests on approvals asked for until `forget_until` (UTC µs) is forgotten by the way.
        """
        use = begin(order, number, self._uses.find(order.name), self._uses.run_of(order.name))
        for name in self._uses.forget(forget_until):
            self._changed_uses[name] = None
        self._head = replace(self._head, approvals_floor=self._uses.floor)
        self._put_use(use)

    def end_use(self, key: AttemptKey, result: Result) -> None:
        """Note how an attempt ended that was counted; any other is none of it."""
        use = self._uses.of_attempt(key)
        if use is not None:
            began = result.started_at > 0 and result.outcome is not Outcome.DECLINED
            outputs = digest_of_json(result.outputs, "outputs")
            self._put_use(end(use, key.attempt, result.outcome, outputs, began=began))

    def _put_use(self, use: Use) -> None:
        self._uses.put(use)
        self._changed_uses[use.name] = None
        self._start_riding()

    async def flush(self) -> None:
        """Return when everything recorded so far is durable; raises JournalUnwritable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._start_writing()
        await done

    def abandon(self) -> None:
        """Write nothing more, as if the process had died; for tests and the simulation."""
        self._closed = True
        for task in (self._ride, self._writer):
            if task is not None:
                task.cancel()

    async def close(self) -> None:
        """Write what is left, if the disk lets us, and close the store."""
        self._closed = True
        if self._ride is not None:
            self._ride.cancel()
        try:
            await self.flush()
        except JournalUnwritable as error:
            _log.warning("the journal was closed with unwritten records: %s", error)
        await self._commits.close()

    def _touch(self, key: AttemptKey) -> None:
        self._changed[key] = None
        self._head = replace(self._head, sequence=self._head.sequence + 1)

    def _start_riding(self) -> None:
        if self._ride is None and self._writer is None and not self._closed:
            self._ride = asyncio.get_running_loop().call_later(RIDE_SECONDS, self._ride_is_over)

    def _ride_is_over(self) -> None:
        self._ride = None
        self._start_writing()

    def _start_writing(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """Write transactions until nobody waits; then let the rest ride."""
        try:
            while True:
                waiting, self._waiting = self._waiting, []
                await self._write_one(waiting)
                if not self._waiting:
                    return
        finally:
            self._writer = None
            if self._is_dirty():
                self._start_riding()

    async def _write_one(self, waiting: list[asyncio.Future[None]]) -> None:
        transaction = self._take_transaction()
        if transaction is not None:
            self._in_flight = frozenset(entry.key for entry in transaction.entries)
            try:
                await self._commits.commit(transaction)
            except JournalUnwritable as error:
                self._put_back(transaction)
                for done in waiting:
                    if not done.done():
                        done.set_exception(error)
                if not waiting:
                    _log.warning("%s; trying again", error)
                return
            finally:
                self._in_flight = frozenset()
            self._written = transaction.head.sequence
        for done in waiting:
            if not done.done():
                done.set_result(None)

    def _is_dirty(self) -> bool:
        return bool(
            self._changed
            or self._new_settled
            or self._dropped
            or self._new_approvals
            or self._changed_uses
            or self._head_changed
        )

    def _take_transaction(self) -> Transaction | None:
        if not self._is_dirty():
            return None
        changed, self._changed = self._changed, {}
        settled, self._new_settled = self._new_settled, {}
        dropped, self._dropped = self._dropped, {}
        approvals, self._new_approvals = self._new_approvals, {}
        uses, self._changed_uses = self._changed_uses, {}
        self._head = replace(self._head, horizon=self._settled.horizon)
        self._head_changed = False
        return Transaction(
            head=self._head,
            entries=tuple(self._entries[key] for key in changed if key in self._entries),
            forgotten=tuple(key for key in changed if key not in self._entries),
            settled=tuple(settled.values()),
            dropped=tuple(dropped),
            consumed_approvals=tuple(approvals),
            uses=tuple(use for name in uses if (use := self._uses.find(name)) is not None),
            forgotten_uses=tuple(name for name in uses if self._uses.find(name) is None),
        )

    def _put_back(self, transaction: Transaction) -> None:
        """Keep what failed for the next transaction, each key in the state that it has by then."""
        for entry in transaction.entries:
            self._changed[entry.key] = None
        for key in transaction.forgotten:
            self._changed[key] = None
        for record in transaction.settled:
            self._new_settled.setdefault(record.run, record)
        for run in transaction.dropped:
            self._dropped[run] = None
        for approval in transaction.consumed_approvals:
            self._new_approvals[approval] = None
        for name in (*(use.name for use in transaction.uses), *transaction.forgotten_uses):
            self._changed_uses[name] = None
        self._head_changed = True
