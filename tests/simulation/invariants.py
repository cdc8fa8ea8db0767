"""What must hold, read from the coordinator's disk, the agents' journals and the steps' own traces."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from pilotage_agent.journal_record import entry_from_json
from pilotage_agent.ledger import Entry
from pilotage_agent.messages import EntryState, Outcome
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.simulation.machine import Machine
from tests.simulation.universe import Universe, short

ATTEMPT = "SELECT ended_at, outcome, digest FROM workflow_attempts WHERE "
KEY = "execution = ? AND path = ? AND host = ? AND item = ? AND kind = ? AND attempt = ?"
AT_REST = frozenset(status for status in ExecutionStatus if status.terminal)


@dataclass
class Journaled:
    """What was ever durable in a host's journals about one attempt."""

    started: bool = False
    exits: set[tuple[Outcome, str]] = field(default_factory=set)


@dataclass
class Oracle:
    """Collects what was promised, and compares it with what is there."""

    universe: Universe
    disk: SimulatedDisk
    machines: dict[str, Machine]
    journaled: dict[AttemptKey, Journaled] = field(default_factory=lambda: defaultdict(Journaled))
    acknowledged: dict[AttemptKey, tuple[Any, ...]] = field(default_factory=dict)
    answered: list[tuple[str, str]] = field(default_factory=list)
    """Execution and the unique name of the person whose request was answered: some event must name them."""
    decided: set[tuple[str, str, str, str]] = field(default_factory=set)
    """Step runs about which a person decided."""
    seen: dict[str, tuple[int, tuple[Any, ...]]] = field(default_factory=dict)
    """Execution to the newest event that somebody was shown."""

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the coordinator's disk as it would be found after a crash now."""
        return self.disk.connection.execute(sql, values).fetchall()

    # While it runs

    def result_acknowledged(self, key: AttemptKey) -> None:
        """4: the coordinator tells an agent to forget: the result must be on its disk."""
        row = self._attempt(key)
        if row is None:
            # Nobody here knows of it: nothing of ours is lost.
            return
        if row[0] is None:
            self.universe.violate(f"4: the result of {short(key)} was acknowledged and is not on the disk")
        self.acknowledged[key] = row

    def request_answered(self, execution: str, by: str) -> None:
        """4: a person was told that a request was taken."""
        if not self._named(execution, by):
            self.universe.violate(f"4: the request of {by} about {execution} was answered and is not on the disk")
        self.answered.append((execution, by))
        sequence, event = self._newest(execution)
        self.seen[execution] = (sequence, event)

    # At the end

    def verdict(self) -> None:
        """Compare everything."""
        self._promises_kept()
        self._one_end_each()
        self._ends_are_true()
        self._epochs()

    def left_in_journals(self) -> list[str]:
        """Return what agents still hold although every execution is over."""
        left = []
        for machine in self.machines.values():
            for text in machine.journal.entries.values():
                entry = entry_from_json(text)
                left.append(f"{machine.name} still holds {short(entry.key)} ({entry.state})")
        return left

    def statuses(self) -> dict[str, str]:
        """Return the status of every execution."""
        return dict(self.rows("SELECT id, status FROM workflow_executions ORDER BY number"))

    def journaled_entry(self, entry: Entry) -> None:
        """Remember what has become durable in a journal."""
        known = self.journaled[entry.key]
        known.started |= entry.state is EntryState.STARTED
        if entry.result is not None:
            known.exits.add((entry.result.outcome, entry.result.digest))

    def _promises_kept(self) -> None:
        for key, row in self.acknowledged.items():
            if self._attempt(key) != row:
                self.universe.violate(f"4: the acknowledged end of {short(key)} changed: {row} to {self._attempt(key)}")
        for execution, by in self.answered:
            if not self._named(execution, by):
                self.universe.violate(f"4: the answered request of {by} about {execution} is gone")
        for execution, (sequence, event) in self.seen.items():
            if self._event(execution, sequence) != event:
                self.universe.violate(f"4: event {sequence} of {execution} is not what it was")

    def _one_end_each(self) -> None:
        ends: Counter[AttemptKey] = Counter()
        planned: Counter[AttemptKey] = Counter()
        for execution, type_, text in self.rows(
            "SELECT execution, type, data FROM workflow_events "
            "WHERE type IN ('attempt_finished', 'attempt_planned') ORDER BY execution, sequence"
        ):
            data = json.loads(text)
            kind = AttemptKind(data["kind"])
            key = AttemptKey(execution, data["path"], data.get("host", ""), data.get("item", ""), kind, data["attempt"])
            (ends if type_ == "attempt_finished" else planned)[key] += 1
        for key, count in ends.items():
            if count > 1:
                self.universe.violate(f"6: {short(key)} ended {count} times")
            if key not in planned:
                self.universe.violate(f"6: {short(key)} ended and was never planned")
        for key, count in planned.items():
            if count > 1:
                self.universe.violate(f"6: {short(key)} was planned {count} times")
        for machine in self.machines.values():
            for key in machine.starts:
                if key not in planned:
                    self.universe.violate(f"10: {short(key)} was started and no event says that it was to be")

    def _ends_are_true(self) -> None:
        for *parts, outcome, digest, started_at in self.rows(
            "SELECT execution, path, host, item, kind, attempt, outcome, digest, started_at FROM workflow_attempts "
            "WHERE ended_at IS NOT NULL AND host <> ''"
        ):
            execution, path, host, item, kind, attempt = parts
            key = AttemptKey(execution, path, host, item, AttemptKind(kind), attempt)
            machine = self.machines[host]
            journaled = self.journaled.get(key, Journaled())
            begun = machine.starts[key] > 0
            if outcome == "succeeded":
                if (Outcome.SUCCEEDED, digest) not in journaled.exits:
                    self.universe.violate(f"2: {short(key)} succeeded with {digest}, which no journal has as its end")
                if key not in machine.effects:
                    self.universe.violate(f"2: {short(key)} succeeded and has done nothing")
            stopped = any(each is Outcome.CANCELLED for each, _ in journaled.exits)
            if outcome == "cancelled" and begun and not stopped:
                self.universe.violate(f"3: {short(key)} is cancelled, was started, and no journal has its stop")
            if outcome == "cancelled" and not started_at and begun and machine.kinds[key].starts_once:
                self.universe.violate(f"3: {short(key)} is cancelled as never begun, and was started")
            if outcome == "declined" and begun and machine.kinds[key].starts_once:
                self.universe.violate(f"3: {short(key)} is declined, and was started")

    def _epochs(self) -> None:
        ((epoch,),) = self.rows("SELECT epoch FROM meta")
        for machine in self.machines.values():
            if machine.journal.head.highest_epoch > epoch:
                self.universe.violate(f"7: {machine.name} has seen epoch {machine.journal.head.highest_epoch}")

    def _attempt(self, key: AttemptKey) -> tuple[Any, ...] | None:
        found = self.rows(ATTEMPT + KEY, *(getattr(key, name) for name in key.__slots__))
        return found[0] if found else None

    def _named(self, execution: str, by: str) -> bool:
        text = f'%"{by}"%'
        return bool(
            self.rows("SELECT 1 FROM workflow_events WHERE execution = ? AND data LIKE ? LIMIT 1", execution, text)
        )

    def _newest(self, execution: str) -> tuple[int, tuple[Any, ...]]:
        found = self.rows("SELECT coalesce(max(sequence), 0) FROM workflow_events WHERE execution = ?", execution)
        sequence = int(found[0][0])
        return sequence, self._event(execution, sequence)

    def _event(self, execution: str, sequence: int) -> tuple[Any, ...]:
        sql = "SELECT at, type, data FROM workflow_events WHERE execution = ? AND sequence = ?"
        return tuple(self.rows(sql, execution, sequence))
