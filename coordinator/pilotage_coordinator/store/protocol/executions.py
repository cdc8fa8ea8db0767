"""The port to executions: what runs, what ran, and everything that happened to it."""

from collections.abc import Mapping
from typing import Protocol

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.store.records import (
    AttemptRecord,
    BlueprintMetric,
    EventRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionFilter,
    ExecutionInputs,
    ExecutionRecord,
    Page,
    Pruned,
    StepRunFilter,
    StepRunRecord,
)


class ExecutionStore(Protocol):
    """Executions with their events, step runs and attempts.

    Writes return when they are durable (fsynced). Writes made at the same time share one transaction; each still
    stands or falls alone. Cancelling the caller does not take a write back: it may land.
    """

    async def create(self, creation: ExecutionCreation) -> None:
        """Store a new execution.

        Raises Conflict if the id is taken or an unexpired answer is stored under the idempotency key (read it then),
        NotFound if its plan is not stored. Nothing of it is stored then, its secrets included.
        """
        ...

    async def commit(self, change: ExecutionChange) -> None:
        """Store one step forward: events, state and audit together, or nothing.

        Raises Conflict when the execution's version is not the expected one, an event's sequence does not follow, a
        new attempt has a row, or an update's attempt has ended or has another epoch; NotFound for an unknown execution
        or attempt; StoreUnavailable when the disk refuses. Changes of *one* execution must be awaited one after the
        other (each expects the version before it); those of different executions should not be, as they share fsyncs.
        """
        ...

    async def get(self, execution: str) -> ExecutionRecord:
        """Return an execution; raises NotFound."""
        ...

    async def inputs(self, execution: str) -> ExecutionInputs:
        """Return what an execution was started with; raises NotFound."""
        ...

    async def find(self, filter: ExecutionFilter, cursor: str = "", limit: int = 50) -> Page[ExecutionRecord]:
        """List executions, newest created first. `limit` 1 to 1,000.

        Cost: the page, whatever the history; with `since`, the first page also counts what was created since then.
        """
        ...

    async def active(self) -> tuple[ExecutionRecord, ...]:
        """Return all executions that have not ended, oldest first. Cost: the active ones."""
        ...

    async def events(self, execution: str, after: int = 0, limit: int = 1000) -> tuple[EventRecord, ...]:
        """Return events with a sequence above `after`, in order, at most `limit` (1 to 10,000) and about 1 MiB.

        Only an empty answer says that there are no more.
        """
        ...

    async def step_runs(
        self, execution: str, filter: StepRunFilter | None = None, cursor: str = "", limit: int = 1000
    ) -> Page[StepRunRecord]:
        """List step runs ordered by path, host, item. `limit` 1 to 10,000; a page also ends after about 1 MiB."""
        ...

    async def step_run(self, execution: str, path: str, host: str, item: str) -> StepRunRecord:
        """Return one step run; raises NotFound."""
        ...

    async def attempt(self, key: AttemptKey) -> AttemptRecord:
        """Return one attempt; raises NotFound."""
        ...

    async def attempt_keys(
        self, execution: str, path: str, host: str = "", after: AttemptKey | None = None, limit: int = 1000
    ) -> tuple[AttemptKey, ...]:
        """Return which attempts a step has above `after`, ordered by host, item, kind, number; on one host if given.

        `after` is one of the same step (and host). `limit` 1 to 10,000; only an empty answer says that there are no
        more.
        """
        ...

    async def open_attempts(self, execution: str) -> Mapping[AttemptKey, int]:
        """Return the attempts of an execution that have not ended, each with its epoch. Cost: the open ones."""
        ...

    async def metrics(self, blueprint_id: str = "") -> tuple[BlueprintMetric, ...]:
        """Return counters kept with each change, for one blueprint or all. Cost: blueprints x statuses, no scan."""
        ...

    async def prune(self, ended_before: int, rows: int = 5000) -> Pruned:
        """Remove executions that ended before a time, oldest first, by at most about `rows` rows.

        Call again while `more`; other writes get their turn in between. An execution goes events first and its own
        row last, so that a crash half-way is repaired by the next call. Its logs the caller removes before
        (`LogStore.remove`). The audit log, metrics and blueprints stay; plans go with their last execution,
        the secrets of an execution (its sensitive parameters) with it.
        """
        ...

    async def prunable(self, ended_before: int, limit: int = 100) -> tuple[str, ...]:
        """Return ids of executions that `prune` would remove, oldest first: their logs go first."""
        ...
