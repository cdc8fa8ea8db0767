"""Rows are what a full recount of the state says, after every change of any history (and no row is forgotten)."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.run import OpenAttempt
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import Effect, Json, StepTypeUse
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.engine.decide import react
from pilotage_coordinator.engine.due import attempt_key
from pilotage_coordinator.runtime.projection import Extra, Happened, Position, count_runs, project
from pilotage_coordinator.runtime.starts import starts
from pilotage_coordinator.store.records import AttemptRecord, AttemptUpdate, ExecutionChange, Progress, StepRunRecord
from pilotage_proto.attempt import AttemptKey, parse_attempt_key

from tests.unit.engine.build import SECOND, START, Run, leaf, plan, tries
from tests.unit.engine.test_properties import Storm


class Tables:
    """The rows, changed as the store changes them, and refusing what it refuses."""

    def __init__(self) -> None:
        self.version = 0
        self.sequence = 0
        self.progress = Progress("pending")
        self.runs: dict[tuple[str, str, str], StepRunRecord] = {}
        self.attempts: dict[AttemptKey, AttemptRecord] = {}

    def commit(self, change: ExecutionChange) -> None:
        """Apply a change."""
        assert change.expected_version == self.version
        assert [event.sequence for event in change.events] == list(
            range(self.sequence + 1, self.sequence + 1 + len(change.events))
        )
        self.version += 1
        self.sequence += len(change.events)
        self.progress = change.progress
        self.runs |= {(row.path, row.host, row.item): row for row in change.step_runs}
        for row in change.attempts:
            assert row.key not in self.attempts
            self.attempts[row.key] = row
        for update in change.attempt_updates:
            self._update(update)

    def _update(self, update: AttemptUpdate) -> None:
        row = self.attempts[update.key]
        assert row.ended_at is None, "an attempt that has ended takes no update"
        self.attempts[update.key] = replace(
            row,
            status=update.status,
            started_at=row.started_at if update.started_at is None else update.started_at,
            ended_at=update.ended_at,
            outcome=update.outcome,
            digest=update.digest,
        )


class MirroredStorm(Storm):
    """A storm whose every input is also projected into tables that are compared with the state."""

    def __init__(self, seed: int) -> None:
        self.tables = Tables()
        self.position = Position()
        super().__init__(seed)

    def give(self, input: i.Input) -> None:
        """Feed one input, and store what follows."""
        before, now = self.run.state, self.run.now
        try:
            reaction = react(before, input, now, self.run.world, left=self.run.left, most=self.run.most)
        except DomainError:
            super().give(input)
            return
        super().give(input)
        if not reaction.events:
            return
        happened = Happened(now, reaction.events, tuple(reaction.touched))
        change, self.position = project(before, self.run.state, happened, self.position, Extra(epoch=3))
        self.tables.commit(change)
        compare(self.tables, self.run.state)


def compare(tables: Tables, state: ExecutionState) -> None:
    """Check the tables against all of the state."""
    assert {key: row.status for key, row in tables.runs.items()} == {
        (key.path, key.host, key.item): str(run.status) for key, run in state.runs.items()
    }
    assert Counter(tables.progress.counts) == Counter(count_runs(state))
    assert tables.progress.status == state.status
    assert (tables.progress.ended_at is not None) == state.terminal
    still_open = {key for key, row in tables.attempts.items() if row.ended_at is None}
    assert still_open == {attempt_key(state, attempt) for attempt in state.open.values()}
    assert all(row.status == "ended" for row in tables.attempts.values() if row.ended_at is not None)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), length=st.integers(0, 50))
def test_rows_are_what_a_recount_says(seed: int, length: int) -> None:
    storm = MirroredStorm(seed)
    for _ in range(length):
        storm.blow()
    storm.calm()


def test_an_attempt_that_begins_and_ends_in_one_change_has_one_whole_row() -> None:
    run = Run(plan(leaf("a", "h1")), begin=False)
    before = run.state
    first = run.give(i.Begin("seed", "anna"))
    [attempt] = run.state.open.values()
    key = attempt_key(run.state, attempt)
    started = run.give(i.AttemptStarted(key, run.now))
    ended = run.report(key)
    events = [*first.events, *started.events, *ended.events]
    touched = tuple(dict.fromkeys([*first.touched, *started.touched, *ended.touched]))
    change, position = project(before, run.state, Happened(run.now, events, touched), Position(), Extra(epoch=7))
    [row] = change.attempts
    assert not change.attempt_updates
    assert (row.key, row.epoch, row.status, row.outcome) == (key, 7, "ended", "succeeded")
    assert row.started_at is not None
    assert row.ended_at is not None
    assert position == Position(1, len(events), {"succeeded": 1})


def test_a_new_fence_of_an_attempt_that_ends_meanwhile_is_left_out() -> None:
    run = Run(plan(leaf("a", "h1")))
    before = run.state
    attempt: OpenAttempt = next(iter(run.state.open.values()))
    key = attempt_key(run.state, attempt)
    ended = run.report(key)
    fence = AttemptUpdate(key, "assigned", epoch=9)
    happened = Happened(run.now, ended.events, tuple(ended.touched))
    change, _ = project(before, run.state, happened, Position(1, 5, {"assigned": 1}), Extra(9, updates=(fence,)))
    assert [update.status for update in change.attempt_updates] == ["ended"]


def proofs_of(
    run: Run, outcome: Outcome, before: ExecutionState | None = None, **report: Any
) -> list[tuple[str, Proof]]:
    """End the one open attempt, and return what that proves."""
    before = before or run.state
    [attempt] = run.state.open.values()
    reaction = run.report(attempt_key(run.state, attempt), outcome, **report)
    happened = Happened(run.now, reaction.events, tuple(reaction.touched))
    return list(project(before, run.state, happened, Position(), Extra(epoch=1))[0].proofs)


def one(type: str, **more: Any) -> Run:
    return Run(plan(leaf("a", "h1", type=StepTypeUse(type), **more)))


@pytest.mark.parametrize("type", ["backup.create", "backup.database"])
def test_a_backup_that_succeeds_is_good_since_it_began(type: str) -> None:
    run = one(type)
    run.now += 100 * SECOND
    outputs: dict[str, Json] = {"snapshot_id": "cafe", "warnings": ["no"], "path": ""}
    assert proofs_of(run, Outcome.SUCCEEDED, outputs=outputs) == [
        ("h1", Proof(ProofKind.BACKUP, True, run.now - SECOND, "exe_1", "a", "", {"snapshot_id": "cafe"}))
    ]


@pytest.mark.parametrize(("ahead", "at"), [(-(10**6), 0), (10**6, 100)])
def test_a_host_with_a_wrong_clock_cannot_make_its_backup_younger_or_older_than_it_can_be(ahead: int, at: int) -> None:
    run = one("backup.create")
    run.now += 100 * SECOND
    key = attempt_key(run.state, next(iter(run.state.open.values())))
    before = run.state
    told = run.now + ahead * SECOND
    reaction = run.give(i.AttemptEnded(AttemptReport(key, 1, Outcome.SUCCEEDED, started_at=told, ended_at=told)))
    happened = Happened(run.now, reaction.events, tuple(reaction.touched))
    [(_, proof)] = project(before, run.state, happened, Position(), Extra(epoch=1))[0].proofs
    assert proof.at == START + at * SECOND


def test_a_failure_counts_once_it_is_final_and_what_nobody_knows_proves_nothing() -> None:
    assert [(host, proof.passed) for host, proof in proofs_of(one("backup.create"), Outcome.FAILED)] == [("h1", False)]
    assert proofs_of(one("backup.create", retry=tries(2)), Outcome.FAILED) == []
    assert proofs_of(one("backup.create", effect=Effect.ONCE), Outcome.INTERRUPTED) == []
    assert proofs_of(one("backup.verify"), Outcome.SUCCEEDED) == []
    unknown = one("backup.create", effect=Effect.ONCE)
    unknown.end("a@h1", Outcome.INTERRUPTED)
    before = unknown.state
    settled = unknown.give(i.UnknownResolved(RunKey("a", "h1", ""), "succeeded", "anna", ""))
    happened = Happened(unknown.now, settled.events, tuple(settled.touched))
    assert project(before, unknown.state, happened, Position(), Extra(epoch=1))[0].proofs == ()


def test_a_drill_of_another_hosts_backups_is_that_hosts_proof() -> None:
    run = one("restore.drill", parameters={"host": "db9"})
    [(host, proof)] = proofs_of(run, Outcome.SUCCEEDED, outputs={"rto_s": 1.5, "rpo_s": 60})
    assert (host, proof.kind, proof.passed) == ("db9", ProofKind.DRILL, True)
    assert proof.detail == {"rto_s": 1.5, "rpo_s": 60}


def test_the_undo_of_a_step_proves_nothing() -> None:
    run = one("backup.create")
    run.finish()
    run.give(i.RollbackRequested("anna", ""))
    if run.state.open:
        assert proofs_of(run, Outcome.SUCCEEDED) == []


def test_new_attempts_are_named_in_the_audit_log_in_the_change_that_makes_them() -> None:
    run = Run(plan(leaf("a", "h1", "h2")), begin=False)
    before = run.state
    begun = run.give(i.Begin("seed", "anna"))
    happened = Happened(run.now, begun.events, tuple(begun.touched))
    change, position = project(before, run.state, happened, Position(), Extra(epoch=7))
    [entry] = change.audit
    assert (entry.operation, entry.subject, entry.at) == ("step.start", run.state.id, run.now)
    assert (entry.detail["requested_by"], entry.detail["plan_digest"]) == ("anna", run.state.plan.digest)
    named = {parse_attempt_key(f"{entry.subject}/{each}") for each in entry.detail["starts"]}
    assert named == {each.key for each in change.attempts}
    assert len(named) == 2
    started = run.give(i.AttemptStarted(change.attempts[0].key, run.now))
    happened = Happened(run.now, started.events, tuple(started.touched))
    assert project(run.state, run.state, happened, position, Extra(epoch=7))[0].audit == ()


def test_one_entry_names_a_bounded_number_of_attempts() -> None:
    run = Run(plan(leaf("a", *(f"h{number}" for number in range(3)))))
    key = attempt_key(run.state, next(iter(run.state.open.values())))
    record = AttemptRecord(key, 1, "assigned", "once", "dummy", {}, 0)
    entries = list(starts(run.state, [record] * 1201, 7))
    assert [len(each.detail["starts"]) for each in entries] == [500, 500, 201]
