"""The memory of attempts that were acknowledged and forgotten, so that none of them is ever started again.

A coordinator restored from an old copy may send an attempt that ended weeks ago. One small record per step run (not
per attempt) is kept: the highest attempt settled and how it ended. The memory is bounded; what falls out of it is
covered by a horizon: executions whose id (a UUIDv7, so it holds its own time) is not younger than the horizon and
that are not known are not started. Both only ever refuse more, so a lost or pruned record never allows a start.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.messages import Outcome

CAPACITY: Final = 65_536
"""Step runs remembered; about 10 MiB at most."""

_PRUNE_SHARE: Final = 16


@dataclass(frozen=True, slots=True)
class Settled:
    """The newest settled attempt of one step run. `execution_time`: milliseconds, 0 when the id tells none."""

    run: bytes
    attempt: int
    outcome: Outcome
    began: bool
    execution_time: int


def run_of(key: AttemptKey) -> bytes:
    """Return 16 bytes that stand for the step run of an attempt: its key without the attempt's number."""
    text = "\0".join((key.execution, key.path, key.host, key.item, key.kind))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def execution_time(execution: str) -> int:
    """Return the milliseconds in an execution id of the form prefix_UUIDv7, or 0 when it is of another form."""
    _, _, text = execution.rpartition("_")
    try:
        number = uuid.UUID(hex=text)
    except ValueError:
        return 0
    return number.int >> 80 if number.version == 7 else 0


class SettledRuns:
    """The bounded memory. `changed` since the last `take_changes` are what the journal must write."""

    def __init__(self, known: Iterable[Settled] = (), horizon: int = 0, capacity: int = CAPACITY) -> None:
        self._runs: dict[bytes, Settled] = {entry.run: entry for entry in known}
        self.horizon = horizon
        self._capacity = capacity

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Settled]:
        return iter(self._runs.values())

    def find(self, key: AttemptKey) -> Settled | None:
        """Return what is remembered of the attempt's step run."""
        return self._runs.get(run_of(key))

    def too_old(self, key: AttemptKey) -> bool:
        """Whether the attempt's execution lies behind what this memory still covers."""
        return 0 < execution_time(key.execution) <= self.horizon

    def remember(self, key: AttemptKey, outcome: Outcome, *, began: bool) -> Settled:
        """Note that an attempt was acknowledged; the highest attempt of a run wins. Returns the record to write."""
        run = run_of(key)
        before = self._runs.get(run)
        if before is not None and before.attempt > key.attempt:
            return before
        record = Settled(run, key.attempt, outcome, began, execution_time(key.execution))
        self._runs[run] = record
        return record

    def prune(self) -> tuple[bytes, ...]:
        """Drop the runs of the oldest executions when there are too many, and move the horizon past them.

        Returns the dropped runs; they must be deleted in the same transaction that writes the new horizon. Runs of
        executions whose id tells no time are never dropped, as no horizon could stand for them.
        """
        if len(self._runs) <= self._capacity:
            return ()
        dated = sorted(entry.execution_time for entry in self._runs.values() if entry.execution_time)
        if not dated:
            return ()
        surplus = len(self._runs) - self._capacity + self._capacity // _PRUNE_SHARE
        self.horizon = max(self.horizon, dated[min(surplus, len(dated)) - 1])
        dropped = tuple(run for run, entry in self._runs.items() if 0 < entry.execution_time <= self.horizon)
        for run in dropped:
            del self._runs[run]
        return dropped
