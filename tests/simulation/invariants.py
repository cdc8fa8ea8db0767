"""What must hold, read from the coordinator's disk, the agents' journals and the steps' own traces."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pilotage_agent.journal_record import entry_from_json
from pilotage_agent.ledger import Entry
from pilotage_agent.messages import Effect, EntryState, Outcome, Result
from pilotage_coordinator.audit.chain import follow
from pilotage_coordinator.audit.entry import AuditEntry, AuditHead, AuditRecord
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.runtime.starts import OPERATION
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_proto.attempt import AttemptKey, AttemptKind, parse_attempt_key

from tests.simulation.approvals import Approvals, Signed
from tests.simulation.course import Course
from tests.simulation.machine import Machine
from tests.simulation.universe import Universe, short

ATTEMPT = "SELECT ended_at, outcome, digest FROM workflow_attempts WHERE "
KEY = "execution = ? AND path = ? AND host = ? AND item = ? AND kind = ? AND attempt = ?"
EVENTS = "SELECT type, data, at FROM workflow_events WHERE execution = ? ORDER BY sequence"
REQUESTS = (
    "SELECT a.id, a.execution, a.outcome, e.status FROM workflow_approvals a"
    " JOIN workflow_executions e ON e.id = a.execution ORDER BY a.number"
)
ENDED = "SELECT data FROM workflow_events WHERE execution = ? AND type = 'approval_ended' AND data LIKE ?"
SUCCEEDED = "SELECT host FROM workflow_step_runs WHERE execution = ? AND path = ? AND status = 'succeeded'"
AUDIT = (
    "SELECT sequence, at, principal, operation, subject, outcome, detail, previous, hash FROM audit_log "
    "ORDER BY sequence"
)
JOURNALED = frozenset({"succeeded", "failed", "cancelled"})
"""Ends of which a host says nothing before its journal has them."""
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
    machines: list[Machine]
    plans: dict[str, Plan] = field(default_factory=dict)
    """Execution to what was asked for."""
    journaled: dict[AttemptKey, Journaled] = field(default_factory=lambda: defaultdict(Journaled))
    acknowledged: dict[AttemptKey, tuple[Any, ...]] = field(default_factory=dict)
    answered: list[tuple[str, str]] = field(default_factory=list)
    """Execution and the unique name of the person whose request was answered: some event must name them."""
    seen: dict[str, tuple[int, tuple[Any, ...]]] = field(default_factory=dict)
    """Execution to the newest event that somebody was shown."""
    calm: int = 0
    """When all faults were over, UTC microseconds; 0: not yet."""
    signed: set[Signed] = field(default_factory=set)
    """All that people ever signed about approvals."""

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the coordinator's disk as it would be found after a crash now."""
        return self.disk.connection.execute(sql, values).fetchall()

    forgotten: set[AttemptKey] = field(default_factory=set)
    """Attempts that were sent before a restore, and of which the restored database knows nothing."""
    told_out_of_order: set[AttemptKey] = field(default_factory=set)
    """Attempts whose hosts have told that they could not be put in order."""
    after_restore: bool = False
    """The disk was restored: an end that an agent was told to forget may be asked for again, and is not known then."""

    def restored(self) -> None:
        """The coordinator's disk has become an older one: what was promised after that is not expected any more."""
        self.acknowledged = {key: row for key, row in self.acknowledged.items() if self._attempt(key) == row}
        self.answered = [(execution, by) for execution, by in self.answered if self._named(execution, by)]
        self.seen = {
            execution: (sequence, event)
            for execution, (sequence, event) in self.seen.items()
            if self._event(execution, sequence) == event
        }
        self.after_restore = True
        known = self.statuses()
        for execution in [execution for execution in self.plans if execution not in known]:
            del self.plans[execution]
        self.forgotten = {key for key in self.universe.sent if self._attempt(key) is None}

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

    def result_reported(self, result: Result) -> None:
        """2, 3: an agent tells how an attempt ended: its journal must have that."""
        if (
            result.outcome.value in JOURNALED
            and (result.outcome, result.digest) not in self.journaled[result.key].exits
        ):
            number = 3 if result.outcome is Outcome.CANCELLED else 2
            self.universe.violate(f"{number}: {short(result.key)} is reported {result.outcome}, which is not journaled")
        self._told_in_order(result)

    def _told_in_order(self, result: Result) -> None:
        """recovery: what was cut off is put in order before its end is told, or it is told that it could not be."""
        left = any(result.key in machine.out_of_order for machine in self._at(result.key.host))
        told = result.key in self.told_out_of_order or result.key in self.acknowledged
        if not left or self._forgetful(result.key.host) or told:
            # What was acknowledged was told, if only in a greeting; to an old order, evidence is not repeated.
            return
        said = json.loads(result.evidence or b"{}").get("recovery")
        if result.outcome is Outcome.INTERRUPTED and said == "failed":
            self.told_out_of_order.add(result.key)
        else:
            self.universe.violate(f"recovery: {short(result.key)} is reported {result.outcome} and is not in order")

    def step_begun(self, key: AttemptKey) -> None:
        """1, 10: a step begins on a host: once if it must, and nothing without a committed intent."""
        starts = sum(machine.starts[key] for machine in self._at(key.host))
        effect = self._effect(key)
        if starts > 1 and effect is not None and effect.starts_once:
            self.universe.violate(f"1: {effect} attempt {short(key)} was started {starts} times")
        if key in self.forgotten and self.journaled[key].exits and not self._forgetful(key.host):
            self.universe.violate(f"1: {short(key)} ended before the restore, and is started again")
        if effect is not None and effect.starts_once and not self.journaled[key].started:
            self.universe.violate(f"1: {short(key)} begins, and no journal has its start")
        if self._attempt(key) is None and key not in self.forgotten:
            self.universe.violate(f"10: {short(key)} is started, and the coordinator has not stored that it is to be")

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
        self._courses()
        self._ends_are_true()
        self._epochs()
        self._approvals()
        self._audited()

    def _approvals(self) -> None:
        """5: what the rows of requests say is what the events say, and nothing is open when its execution is over."""
        for id, execution, outcome, status in self.rows(REQUESTS):
            ended = self.rows(ENDED, execution, f'%"{id}"%')
            said = [json.loads(text)["outcome"] for (text,) in ended]
            if len(said) > 1 or (said and said[0] != outcome):
                self.universe.violate(f"5: {id} is {outcome or 'open'}, and its events say {said}")
            if ExecutionStatus(status).terminal and not outcome:
                self.universe.violate(f"5: {id} is open, and its execution is {status}")

    def left_in_journals(self) -> list[str]:
        """Return what agents still hold although every execution is over."""
        left = []
        for machine in self.machines:
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

    def _courses(self) -> None:
        for execution, plan in self.plans.items():
            rows = self.rows(EVENTS, execution)
            course = Course(execution, plan, self.universe.violate, self.calm)
            events = [(type_, json.loads(text), at) for type_, text, at in rows]
            course.follow(events)
            asked = Approvals(execution, plan, self.signed, self.universe.violate)
            for type_, data, at in events:
                asked.follow(type_, data, at)
            self._healthy(execution, course)
            for machine in self.machines:
                for key in machine.starts:
                    if key.execution == execution and key not in course.planned and key not in self.forgotten:
                        self.universe.violate(f"10: {short(key)} was started and no event says that it was to be")
            for key in course.begun:
                if course.starts_once(key) and not self.journaled[key].started:
                    self.universe.violate(f"2: {short(key)} is said to run, and no journal has its start")
            for key, outcome in course.unbegun.items():
                effect = self._effect(key)
                if effect is not None and effect.starts_once:
                    self.universe.violate(f"3: {short(key)} is {outcome} as never begun, and was started")
            for key, evidence in course.interrupted.items():
                self._interrupted(key, evidence, course)

    def _healthy(self, execution: str, course: Course) -> None:
        for path in course.gates.groups:
            for (host,) in self.rows(SUCCEEDED, execution, path):
                if (path, host) not in course.gates.healthy:
                    self.universe.violate(f"health: {execution[-1]}:{path}@{host} succeeded, and its gate did not")

    def _interrupted(self, key: AttemptKey, evidence: str, course: Course) -> None:
        ends = [outcome for outcome, _ in self.journaled[key].exits if outcome is not Outcome.INTERRUPTED]
        if key in course.forgotten:
            self._forgotten(key, course)
            # The host, which has forgotten the start, is told to cancel and can but say that nothing began. The
            # coordinator was told of the start, and knows better.
            ends = [outcome for outcome in ends if outcome is not Outcome.CANCELLED]
        if course.gates.may_give_up(key.path):
            # It only reads, and its gate had to end.
            return
        if ends and not self._forgetful(key.host) and not self.after_restore:
            self.universe.violate(f"4: {short(key)} is interrupted, and the journal had its end: {ends[0]}")
        done = any(key in machine.effects for machine in self._at(key.host))
        effect = self._effect(key)
        if done and evidence == "not_done" and effect is not None and effect.starts_once:
            self.universe.violate(f"1: {short(key)} was done, and is called not done")

    def _forgotten(self, key: AttemptKey, course: Course) -> None:
        """2: only a start that was told, and for which no fsync is waited, may be forgotten by an unbroken journal."""
        if key not in course.begun:
            self.universe.violate(f"2: {short(key)} is said to be begun and forgotten, and nobody has told of a start")
        effect = self._effect(key)
        if effect is not None and effect.starts_once and not self.after_restore:
            self.universe.violate(f"1: {short(key)} was begun and forgotten, and it is {effect}")

    def _ends_are_true(self) -> None:
        for *parts, outcome, digest in self.rows(
            "SELECT execution, path, host, item, kind, attempt, outcome, digest FROM workflow_attempts "
            "WHERE ended_at IS NOT NULL AND host <> ''"
        ):
            execution, path, host, item, kind, attempt = parts
            key = AttemptKey(execution, path, host, item, AttemptKind(kind), attempt)
            if outcome in JOURNALED and (Outcome(outcome), digest) not in self.journaled[key].exits:
                number = 3 if outcome == "cancelled" else 2
                self.universe.violate(f"{number}: {short(key)} {outcome}, and no journal has that as its end")
            if outcome == "succeeded" and not any(key in machine.effects for machine in self._at(host)):
                self.universe.violate(f"2: {short(key)} succeeded and has done nothing")

    def _audited(self) -> None:
        """10: every start is in the audit log, whose chain holds and whose end is signed."""
        named: set[AttemptKey] = set()
        head = AuditHead()
        for sequence, at, principal, operation, subject, outcome, detail, previous, hash_ in self.rows(AUDIT):
            entry = AuditEntry(at, principal, operation, subject, outcome, json.loads(detail))
            head, fault = follow(head, [AuditRecord(sequence, entry, previous, hash_)])
            if fault:
                self.universe.violate(f"10: {fault}")
                return
            if operation == OPERATION:
                named |= {parse_attempt_key(f"{subject}/{start}") for start in entry.detail["starts"]}
        if self.rows("SELECT sequence, hash FROM audit_signed_head") != [(head.sequence, head.hash)]:
            self.universe.violate(f"10: the audit log ends at entry {head.sequence}, and that is not signed")
        ((epoch,),) = self.rows("SELECT epoch FROM meta")
        for machine in self.machines:
            seen = machine.journal.head.witness
            if self.after_restore and machine.journal.head.highest_epoch < epoch:
                # It has not met the restored coordinator: there was nothing left to wait for.
                continue
            # One that was shut out, or was away since the first head was signed, has seen none.
            if seen is not None and seen.head.sequence and self._audit_hash(seen.head.sequence) != seen.head.hash:
                self.universe.violate(f"witness: {machine.name} has seen entry {seen.head.sequence}, which is gone")
            for key in machine.starts:
                if key not in named and key not in self.forgotten:
                    self.universe.violate(f"10: {short(key)} was started and is not in the audit log")

    def _audit_hash(self, sequence: int) -> str:
        """Return the hash of an entry of the audit log; empty when there is none."""
        found = self.rows("SELECT hash FROM audit_log WHERE sequence = ?", sequence)
        return str(found[0][0]) if found else ""

    def _epochs(self) -> None:
        ((epoch,),) = self.rows("SELECT epoch FROM meta")
        for machine in self.machines:
            if machine.journal.head.highest_epoch > epoch:
                self.universe.violate(f"7: {machine.name} has seen epoch {machine.journal.head.highest_epoch}")

    def _forgetful(self, host: str) -> bool:
        return any(machine.forgetful for machine in self._at(host))

    def _at(self, host: str) -> list[Machine]:
        return [machine for machine in self.machines if machine.name == host]

    def _effect(self, key: AttemptKey) -> Effect | None:
        """Return the effect of an attempt that was started; None when it never was."""
        return next((each.kinds[key] for each in self._at(key.host) if key in each.kinds), None)

    def _attempt(self, key: AttemptKey) -> tuple[Any, ...] | None:
        found = self.rows(ATTEMPT + KEY, key.execution, key.path, key.host, key.item, key.kind, key.attempt)
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
