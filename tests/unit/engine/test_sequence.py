"""The thin path: steps over hosts, in order, with failures, retries and an end."""

from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import Effect, FailureKind, OnFailure
from pilotage_coordinator.engine.due import due, next_wakeup

from tests.unit.engine.build import SECOND, Run, here, leaf, plan, tries


def test_a_dependency_waits_for_all_hosts() -> None:
    run = Run(plan(leaf("a", "h1", "h2"), leaf("b", "h1", "h2", after=["a"])))
    assert run.status == "running"
    assert run.open() == ["a@h1", "a@h2"]
    run.end("a@h1")
    assert run.open() == ["a@h2"]
    run.end("a@h2")
    assert run.open() == ["b@h1", "b@h2"]
    run.finish()
    assert run.status == "completed"
    assert not run.state.warnings


def test_independent_steps_run_together() -> None:
    run = Run(plan(leaf("a", "h1"), leaf("b", "h2"), leaf("c", "h1", after=["a", "b"])))
    assert run.open() == ["a@h1", "b@h2"]
    run.end("b@h2")
    assert run.open() == ["a@h1"]
    run.end("a@h1")
    assert run.open() == ["c@h1"]


def test_a_failure_stops_what_has_not_started() -> None:
    run = Run(plan(leaf("a", "h1", "h2"), leaf("b", "h1", after=["a"])))
    run.fail("a@h1")
    assert run.open() == ["a@h2"]
    assert run.status == "running"
    run.end("a@h2")
    assert run.status == "failed"
    assert run.run("b@h1").status == "not_run"
    assert "a on h1 failed: broken" in run.state.reason
    run.refold()


def test_continue_drops_the_failed_host_from_dependents() -> None:
    run = Run(plan(leaf("a", "h1", "h2", on_failure=OnFailure.CONTINUE), leaf("b", "h1", "h2", after=["a"])))
    run.fail("a@h1")
    run.end("a@h2")
    assert run.open() == ["b@h2"]
    run.finish()
    assert run.status == "completed"
    assert run.state.warnings
    assert run.statuses("b") == {"h1": "not_run", "h2": "succeeded"}


def test_retry_waits_longer_each_time_and_counts_attempts() -> None:
    run = Run(plan(leaf("a", "h1", retry=tries(3))))
    run.fail("a@h1")
    assert run.run("a@h1").reason == "retry"
    assert next_wakeup(run.state) == run.now + SECOND
    run.wait(SECOND - 1)
    assert run.open() == []
    run.wait(1)
    assert run.key("a@h1").attempt == 2
    run.fail("a@h1")
    assert next_wakeup(run.state) == run.now + 2 * SECOND
    run.wait(2 * SECOND)
    run.fail("a@h1")
    assert run.status == "failed"
    assert run.run("a@h1").attempts == 3
    assert next_wakeup(run.state) is None


def test_a_kind_that_is_not_retried_ends_at_once() -> None:
    run = Run(plan(leaf("a", "h1", retry=tries(3, on=frozenset({FailureKind.INFRASTRUCTURE})))))
    run.fail("a@h1")
    assert run.status == "failed"


def test_jitter_is_drawn_from_the_attempt() -> None:
    first = Run(plan(leaf("a", "h1", "h2", retry=tries(2, jitter=0.5))))
    second = Run(plan(leaf("a", "h1", "h2", retry=tries(2, jitter=0.5))))
    for each in (first, second):
        each.fail("a@h1")
        each.fail("a@h2")
    assert first.run("a@h1").retry_at == second.run("a@h1").retry_at
    assert first.run("a@h1").retry_at != first.run("a@h2").retry_at
    assert SECOND <= first.run("a@h1").retry_at - first.now <= 1.5 * SECOND


def test_late_repeated_and_unknown_reports_change_nothing() -> None:
    run = Run(plan(leaf("a", "h1", retry=tries(2)), leaf("b", "h1", after=["a"])))
    key = run.key("a@h1")
    run.fail("a@h1")
    assert run.report(key).events == ()
    run.wait(SECOND)
    assert run.report(key).events == ()
    run.end("a@h1")
    assert run.report(key).events == ()
    assert run.give(i.AttemptStarted(key, 5)).events == ()
    assert run.open() == ["b@h1"]


def test_started_is_recorded_once() -> None:
    run = Run(plan(leaf("a", "h1")))
    key = run.key("a@h1")
    assert [attempt.started for attempt in due(run.state).assign] == [False]
    assert len(run.give(i.AttemptStarted(key, run.now)).events) == 1
    assert run.give(i.AttemptStarted(key, run.now)).events == ()
    assert run.run("a@h1").status == "running"
    assert due(run.state).assign == ()


def test_a_simple_step_costs_few_events() -> None:
    hosts = [f"h{number}" for number in range(20)]
    run = Run(plan(leaf("a", *hosts), leaf("b", *hosts, after=["a"])))
    run.finish()
    assert len(run.history) <= 2 * 2 * len(hosts) + 2 + 3


def test_an_interrupted_restartable_step_is_made_again() -> None:
    run = Run(plan(leaf("a", "h1", effect=Effect.IDEMPOTENT)))
    run.end("a@h1", Outcome.INTERRUPTED)
    run.wait(SECOND)
    assert run.key("a@h1").attempt == 2
    run.end("a@h1")
    assert run.status == "completed"


def test_interruptions_without_end_end() -> None:
    run = Run(plan(leaf("a", "h1", effect=Effect.READ)))
    for _ in range(6):
        run.end("a@h1", Outcome.INTERRUPTED)
        run.wait(600 * SECOND)
    assert run.status == "failed"
    assert "6 times" in run.run("a@h1").error


def test_the_order_of_equal_work_is_the_plan_order() -> None:
    run = Run(plan(leaf("z", "h2", "h1"), leaf("a", "h9")))
    assert [(key.path, key.host) for key in run.starts] == [("z", "h2"), ("z", "h1"), ("a", "h9")]


def test_an_empty_plan_completes() -> None:
    assert Run(plan()).status == "completed"


def test_an_assertion_is_decided_at_once() -> None:
    run = Run(plan(here("ok", parameters={"that": "1 < 2"}), leaf("a", "h1", after=["ok"])))
    assert run.open() == ["a@h1"]
    assert run.run("ok").attempts == 1


def test_an_assertion_that_does_not_hold_fails_with_its_message() -> None:
    run = Run(plan(here("ok", parameters={"that": ["true", "1 > 2"], "message": "no space"})))
    assert run.status == "failed"
    assert "no space (this does not hold: 1 > 2)" in run.run("ok").error
