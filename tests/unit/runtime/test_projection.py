"""Rows are what a full recount of the state says, after every change of any history (and no row is forgotten)."""

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.run import OpenAttempt
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.engine.decide import react
from pilotage_coordinator.engine.due import attempt_key
from pilotage_coordinator.runtime.projection import Extra, Happened, Position, count_runs, project
from pilotage_coordinator.store.records import AttemptRecord, AttemptUpdate, ExecutionChange, Progress, StepRunRecord
from pilotage_proto.attempt import AttemptKey

from tests.unit.engine.build import Run, leaf, plan
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
            reaction = react(before, input, now, self.run.world)
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
