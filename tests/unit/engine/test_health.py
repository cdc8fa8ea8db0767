"""Health gates: rounds of checks, until they were good for long enough or it is late."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import Batch, Effect, OnFailure, OnOffline, Rollout, RolloutFailure
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine.decide import react
from pilotage_coordinator.engine.due import next_wakeup

from tests.unit.engine.build import SECOND, FakeWorld, Run, check, gate, group, leaf, plan

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]
ONE_BY_ONE = Rollout(batches=(Batch(Share(1)),), max_failures=Share(0), on_failure=RolloutFailure.REVERT_ALL)


def guarded(*hosts: str, rollout: Rollout = ONE_BY_ONE, **times: int) -> Run:
    """A group of one step, guarded by one check."""
    steps = [leaf("swap"), gate([check("up")], ["swap"], **times)]
    return Run(plan(group("g", hosts or ["h1", "h2"], steps, rollout=rollout)))


def test_a_host_is_healthy_once_its_checks_were_good_for_long_enough() -> None:
    run = guarded()
    run.end("g/swap@h1")
    assert run.open() == ["g/!health/up@h1"]
    run.end("g/!health/up@h1")
    assert run.open() == []
    assert run.status == "running"
    assert run.run("g/!health@h1").detail == "healthy for 0s of 10s"
    assert next_wakeup(run.state) == run.now + 5 * SECOND
    run.wait(5 * SECOND)
    run.end("g/!health/up@h1")
    run.wait(5 * SECOND)
    run.end("g/!health/up@h1")
    assert run.run("g/!health@h1").status == "succeeded"
    assert run.run("g@h1").status == "succeeded"
    assert run.open() == ["g/swap@h2"]
    run.refold()


def test_one_bad_round_begins_the_time_anew_and_is_no_warning() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    run.wait(5 * SECOND)
    run.fail("g/!health/up@h1", error="connection refused")
    assert run.run("g/!health@h1").detail == "up failed: connection refused"
    assert run.status == "running"
    for _ in range(3):
        run.wait(5 * SECOND)
        run.end("g/!health/up@h1")
    assert run.run("g/!health@h1").status == "succeeded"
    assert run.status == "completed"
    assert not run.state.warnings


def test_a_host_that_never_gets_healthy_fails_and_all_is_reverted() -> None:
    run = guarded()
    run.end("g/swap@h1")
    while run.run("g/!health@h1").status == "running":
        run.fail("g/!health/up@h1", error="connection refused")
        if run.run("g/!health@h1").status == "running":
            wakeup = next_wakeup(run.state)
            assert wakeup is not None
            run.wait(wakeup - run.now)
    failed = run.run("g/!health@h1")
    assert failed.status == "failed"
    assert failed.error == "not healthy within 1m: up failed: connection refused"
    assert run.open() == ["undo g/swap@h1"]
    run.report(run.key("g/swap@h1"))
    assert run.run("g@h2").status == "not_run"
    assert run.status == "failed"
    run.refold()


def test_a_check_that_does_not_answer_is_not_waited_for() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    late = run.key("g/!health/up@h1")
    run.wait(60 * SECOND)
    assert run.run("g/!health/up@h1").error == "no answer before the host had to be healthy"
    assert run.run("g/!health@h1").error == "not healthy within 1m: no check has answered"
    assert run.open() == ["undo g/swap@h1"]
    assert run.report(late).events == ()


def test_a_host_that_vanishes_is_not_healthy() -> None:
    world = FakeWorld()
    steps = [leaf("swap"), gate([check("up")], ["swap"])]
    run = Run(plan(group("g", ["h1"], steps, rollout=ONE_BY_ONE)), world=world)
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    world.offline.add("h1")
    run.wait(5 * SECOND)
    assert run.run("g/!health/up@h1").reason == "offline"
    run.wait(60 * SECOND)
    assert run.run("g/!health@h1").status == "failed"
    world.offline.clear()
    run.give(i.HostChanged("h1"))
    assert run.open() == ["undo g/swap@h1"]


def test_too_short_a_health_at_the_deadline_fails() -> None:
    run = guarded("h1", for_=40, within=60, every=30)
    run.end("g/swap@h1")
    run.fail("g/!health/up@h1")
    run.wait(30 * SECOND)
    run.end("g/!health/up@h1")
    run.wait(30 * SECOND)
    assert run.run("g/!health@h1").error == "not healthy within 1m: healthy for 0s of 40s"


def test_a_pause_starts_the_time_anew() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    run.give(i.PauseRequested("anna"))
    assert run.status == "paused"
    run.wait(3600 * SECOND)
    assert run.open() == []
    run.give(i.ResumeRequested("anna"))
    assert run.open() == ["g/!health/up@h1"]
    run.end("g/!health/up@h1")
    assert run.run("g/!health@h1").status == "running"
    run.wait(5 * SECOND)
    run.end("g/!health/up@h1")
    run.wait(5 * SECOND)
    run.end("g/!health/up@h1")
    assert run.status == "completed"
    run.refold()


def test_a_round_amid_which_the_time_began_anew_counts_for_nothing() -> None:
    steps = [leaf("swap"), gate([check("up"), check("ready", after=["up"])], ["swap"], for_=0)]
    run = Run(plan(group("g", ["h1"], steps, rollout=ONE_BY_ONE)))
    run.end("g/swap@h1")
    run.give(i.PauseRequested("anna"))
    run.end("g/!health/up@h1")
    run.wait(3600 * SECOND)
    run.give(i.ResumeRequested("anna"))
    run.end("g/!health/ready@h1")
    assert run.run("g/!health@h1").status == "running"
    run.wait(5 * SECOND)
    assert run.open() == ["g/!health/up@h1"]
    run.end("g/!health/up@h1")
    run.end("g/!health/ready@h1")
    assert run.status == "completed"
    run.refold()


def test_a_coordinator_that_was_away_does_not_take_a_host_for_ill() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    run.now += 3600 * SECOND
    run.give(i.Recovered())
    assert run.run("g/!health@h1").status == "running"
    assert run.open() == ["g/!health/up@h1"]


def test_a_cancel_between_two_rounds_ends_the_gate() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    run.give(i.CancelRequested("anna"))
    assert run.run("g/!health@h1").status == "cancelled"
    assert run.status == "cancelled"
    assert run.state.timers.first() is None


def test_a_cancel_in_a_round_ends_the_gate_with_it() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    run.give(i.CancelRequested("anna"))
    run.end("g/!health/up@h1", Outcome.CANCELLED)
    assert run.run("g/!health@h1").status == "cancelled"
    assert run.status == "cancelled"


def test_a_failure_elsewhere_stops_the_gates_that_run() -> None:
    rollout = Rollout(max_failures=Share(0), on_failure=RolloutFailure.REVERT_ALL)
    run = guarded("h1", "h2", rollout=rollout)
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    run.fail("g/swap@h2")
    assert run.run("g/!health@h1").status == "not_run"
    assert run.open() == ["undo g/swap@h1"]


def test_a_retry_asks_again_and_does_not_repeat_the_step() -> None:
    rollout = Rollout(max_failures=Share(0))
    run = guarded("h1", rollout=rollout)
    run.end("g/swap@h1")
    run.wait(60 * SECOND)
    assert run.status == "failed"
    run.give(i.RetryFailed("anna"))
    assert run.open() == ["g/!health/up@h1"]
    assert run.key("g/!health/up@h1").attempt == 2
    for _ in range(3):
        run.end("g/!health/up@h1")
        run.wait(5 * SECOND)
    assert run.status == "completed"
    assert run.run("g/swap@h1").attempts == 1


def test_every_check_of_a_round_counts_and_later_ones_wait() -> None:
    checks = [check("up"), check("ready", after=["up"])]
    steps = [leaf("swap"), gate(checks, ["swap"], for_=0)]
    run = Run(plan(group("g", ["h1"], steps, rollout=ONE_BY_ONE)))
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    assert run.open() == ["g/!health/ready@h1"]
    run.fail("g/!health/ready@h1", error="503")
    run.wait(5 * SECOND)
    assert run.open() == ["g/!health/up@h1"]
    run.fail("g/!health/up@h1")
    assert run.run("g/!health/ready@h1").status == "not_run"
    run.wait(5 * SECOND)
    run.end("g/!health/up@h1")
    run.end("g/!health/ready@h1")
    assert run.status == "completed"
    run.refold()


def test_a_check_skipped_by_its_host_is_no_health() -> None:
    steps = [leaf("swap"), gate([check("up", on_offline=OnOffline.SKIP)], ["swap"])]
    world = FakeWorld()
    run = Run(plan(group("g", ["h1"], steps, rollout=Rollout(max_failures=Share(0)))), world=world)
    run.end("g/swap@h1")
    run.end("g/!health/up@h1")
    world.offline.add("h1")
    run.wait(60 * SECOND)
    assert run.run("g/!health@h1").status == "failed"


def test_a_group_that_goes_on_after_failures_still_needs_its_gate() -> None:
    steps = [leaf("swap", effect=Effect.ONCE), gate([check("up")], ["swap"], for_=0)]
    run = Run(plan(group("g", ["h1"], steps, on_failure=OnFailure.CONTINUE), leaf("z", "h1", after=["g"])))
    run.end("g/swap@h1")
    run.wait(60 * SECOND)
    assert run.statuses("g") == {"h1": "failed"}
    assert run.statuses("z") == {"h1": "not_run"}
    assert run.status == "completed"
    assert run.state.warnings


def test_a_good_answer_in_a_pause_never_fails_the_host() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    run.give(i.PauseRequested("anna"))
    run.now += 3600 * SECOND
    run.end("g/!health/up@h1")
    assert run.run("g/!health@h1").status == "running"
    assert run.status == "paused"
    run.give(i.ResumeRequested("anna"))
    assert run.open() == ["g/!health/up@h1"]
    for _ in range(3):
        run.end("g/!health/up@h1")
        run.wait(5 * SECOND)
    assert run.status == "completed"
    run.refold()


def test_a_check_that_is_given_up_is_to_be_stopped_on_its_host() -> None:
    run = guarded("h1")
    run.end("g/swap@h1")
    events = run.wait(60 * SECOND).events
    (given_up,) = [event for event in events if isinstance(event, e.AttemptFinished)]
    assert given_up.given_up
    run.refold()


def test_a_round_costs_the_same_however_many_hosts_there_are() -> None:
    assert _lines_of_a_round(20) == _lines_of_a_round(400)


def _lines_of_a_round(hosts: int) -> int:
    """Return how many lines one host's answer and its next round run, each turn of a loop counted."""
    run = guarded(*(f"h{number:03}" for number in range(hosts)), rollout=Rollout())
    for name in run.open():
        run.end(name)
    run.end("g/!health/up@h007")
    report = AttemptReport(run.key("g/!health/up@h008"), 1, Outcome.SUCCEEDED, started_at=1, ended_at=run.now)
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal count
        count += event == "line"
        return counted

    before = sys.gettrace()
    sys.settrace(counted)
    try:
        react(run.state, i.AttemptEnded(report), run.now, run.world)
        react(run.state, i.Tick(), run.now + 5 * SECOND, run.world)
    finally:
        sys.settrace(before)
    return count
