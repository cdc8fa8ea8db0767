"""Pause, cancel, gates, unknown runs, hosts that are away, deadlines, retry and rerun."""

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import Batch, Effect, OnFailure, OnOffline, Rollout
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine.attempting import RECONNECT_GRACE
from pilotage_coordinator.engine.due import due, due_after, next_wakeup

from tests.unit.engine.build import SECOND, FakeWorld, Run, group, here, leaf, plan, tries

CHAIN = (leaf("a", "h1"), leaf("b", "h1", after=["a"]))


def test_pause_lets_running_steps_end() -> None:
    run = Run(plan(*CHAIN))
    run.give(i.PauseRequested("anna", "lunch"))
    assert run.status == "pausing"
    run.end("a@h1")
    assert run.status == "paused"
    assert run.state.reason == "lunch"
    assert run.open() == []
    run.refold()
    run.give(i.ResumeRequested("anna"))
    assert run.status == "running"
    assert run.state.reason == ""
    assert run.open() == ["b@h1"]


def test_a_pause_holds_back_retries_batches_items_and_hosts() -> None:
    rollout = Rollout(batches=(Batch(Share(1), wait=SECOND),))
    steps = (
        leaf("a", "h1", retry=tries(2)),
        leaf("b", "h1", "h2", rollout=rollout),
        leaf("c", "h1", for_each="${{ ['x', 'y'] }}", rollout=Rollout(max_parallel=Share(1))),
        leaf("d", "h3"),
    )
    run = Run(plan(*steps), begin=False)
    run.world.offline.add("h3")
    run.give(i.Begin("seed", "anna"))
    run.fail("a@h1")
    run.end("b@h1")
    run.give(i.PauseRequested("anna"))
    run.end("c@h1#x")
    run.world.offline.clear()
    run.give(i.HostChanged("h3"))
    assert run.wait(10 * SECOND).events == ()
    assert run.status == "paused"
    assert next_wakeup(run.state) is None
    run.give(i.ResumeRequested("anna"))
    assert run.open() == ["a@h1", "b@h2", "c@h1#y", "d@h3"]
    run.finish()
    assert run.status == "completed"


def test_drift_pauses_and_says_so() -> None:
    run = Run(plan(*CHAIN))
    run.give(i.Drift("h1 has another docker"))
    run.end("a@h1")
    assert run.status == "paused"
    assert run.state.reason == "drift: h1 has another docker"


def test_cancel_stops_what_runs_and_then_runs_finally() -> None:
    run = Run(plan(*CHAIN, finally_=[leaf("tidy", "h1")]))
    events = run.give(i.CancelRequested("anna")).events
    assert run.status == "cancelling"
    assert [attempt.run.path for attempt in due_after(run.state, events).cancel] == ["a"]
    assert due(run.state).assign == ()
    run.refold()
    run.end("a@h1", Outcome.CANCELLED)
    assert run.status == "finishing"
    run.finish()
    assert run.status == "cancelled"
    assert run.run("a@h1").status == "cancelled"
    assert run.run("b@h1").status == "cancelled"


def test_a_cancel_that_comes_too_late_leaves_the_success() -> None:
    run = Run(plan(*CHAIN))
    run.give(i.CancelRequested("anna"))
    run.end("a@h1")
    assert run.status == "cancelled"
    assert run.run("a@h1").status == "succeeded"


def test_an_unreachable_host_stays_cancelling() -> None:
    run = Run(plan(leaf("a", "h1", "h2")))
    run.world.offline.add("h2")
    run.give(i.CancelRequested("anna"))
    run.end("a@h1", Outcome.CANCELLED)
    run.wait(10_000 * SECOND)
    assert run.status == "cancelling"
    run.end("a@h2", Outcome.CANCELLED, started=False)
    assert run.status == "cancelled"


def test_cancel_ends_what_waits() -> None:
    steps = (leaf("a", "h1", retry=tries(2)), leaf("b", "h2"), here("c", "gate.pause", parameters={"name": "go"}))
    run = Run(plan(*steps), begin=False)
    run.world.offline.add("h2")
    run.give(i.Begin("seed", "anna"))
    run.fail("a@h1")
    run.give(i.CancelRequested("anna"))
    assert run.status == "cancelled"
    assert {str(each.status) for each in run.state.runs.values()} == {"cancelled"}
    assert next_wakeup(run.state) is None
    assert not run.state.gates
    run.refold()


def test_cancel_of_a_paused_execution_still_runs_finally() -> None:
    run = Run(plan(*CHAIN, finally_=[leaf("tidy", "h1")]))
    run.give(i.PauseRequested("anna"))
    run.end("a@h1")
    run.give(i.CancelRequested("anna"))
    assert run.open() == ["tidy@h1"]
    run.finish()
    assert run.status == "cancelled"


def test_a_second_cancel_stops_finally_steps_too() -> None:
    run = Run(plan(leaf("a", "h1"), finally_=[leaf("tidy", "h1"), leaf("tell", "h1", after=["tidy"])]))
    run.end("a@h1")
    assert run.status == "finishing"
    run.give(i.CancelRequested("anna"))
    assert [attempt.run.path for attempt in due(run.state).cancel] == ["tidy"]
    run.end("tidy@h1", Outcome.CANCELLED)
    assert run.status == "cancelled"
    assert run.run("tell@h1").status == "not_run"


def test_cancel_of_what_was_interrupted_is_unknown_for_once() -> None:
    run = Run(plan(leaf("a", "h1", "h2", effect=Effect.ONCE)))
    run.give(i.CancelRequested("anna"))
    run.end("a@h1", Outcome.INTERRUPTED)
    assert run.status == "cancelling"
    run.end("a@h2", Outcome.CANCELLED)
    assert run.status == "needs_attention"
    run.give(i.UnknownResolved(RunKey("a", "h1"), "succeeded", "anna"))
    assert run.status == "cancelled"
    run.refold()


def test_cancel_before_the_beginning() -> None:
    run = Run(plan(*CHAIN), begin=False)
    run.give(i.CancelRequested("anna"))
    assert run.status == "cancelled"
    run.refold()


@pytest.mark.parametrize("effect", [Effect.ONCE, Effect.PROBE])
def test_an_interrupted_step_is_unknown_until_a_person_decides(effect: Effect) -> None:
    run = Run(plan(leaf("a", "h1", "h2", effect=effect), leaf("b", "h1", after=["a"]), finally_=[leaf("f", "h1")]))
    run.end("a@h1", Outcome.INTERRUPTED, evidence={"log": ["last words"]})
    assert run.run("a@h1").evidence == {"log": ["last words"]}
    assert run.status == "running"
    run.end("a@h2")
    assert run.status == "needs_attention"
    assert run.open() == []
    run.refold()
    run.give(i.UnknownResolved(RunKey("a", "h1"), "retry", "anna"))
    assert run.key("a@h1").attempt == 2
    run.finish()
    assert run.status == "completed"


def test_no_attention_is_needed_while_a_retry_is_to_come() -> None:
    run = Run(plan(leaf("a", "h1"), leaf("b", "h2", retry=tries(2))))
    run.end("a@h1", Outcome.INTERRUPTED)
    run.fail("b@h2")
    assert run.status == "running"
    run.wait(SECOND)
    run.end("b@h2")
    assert run.status == "needs_attention"


def test_finally_waits_for_an_unknown() -> None:
    run = Run(plan(leaf("a", "h1", "h2"), finally_=[leaf("f", "h1")]))
    run.end("a@h1", Outcome.INTERRUPTED)
    run.fail("a@h2")
    assert run.status == "needs_attention"
    assert run.open() == []
    run.give(i.UnknownResolved(RunKey("a", "h1"), "failed", "anna"))
    assert run.status == "finishing"
    run.finish()
    assert run.status == "failed"


def test_a_probe_that_says_not_done_allows_another_start() -> None:
    run = Run(plan(leaf("a", "h1", effect=Effect.PROBE)))
    run.end("a@h1", Outcome.INTERRUPTED, evidence={"probe": "not_done"})
    run.wait(SECOND)
    assert run.key("a@h1").attempt == 2


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.PROBE, Effect.ONCE])
@pytest.mark.parametrize("cancelled", [False, True])
def test_what_could_not_be_put_in_order_is_unknown_whatever_else_is_known(effect: Effect, cancelled: bool) -> None:
    run = Run(plan(leaf("a", "h1", effect=effect)))
    if cancelled:
        run.give(i.CancelRequested("anna"))
    run.end("a@h1", Outcome.INTERRUPTED, evidence={"probe": "not_done", "recovery": "failed"})
    assert run.run("a@h1").status == "unknown"
    assert run.status == "needs_attention"
    assert run.open() == []
    run.refold()


def test_on_unknown_fail_counts_as_failed_and_is_not_retried() -> None:
    run = Run(plan(leaf("a", "h1", on_unknown="fail", retry=tries(5))))
    run.end("a@h1", Outcome.INTERRUPTED)
    assert run.status == "failed"


def test_declined_is_retried_by_policy_whatever_the_effect() -> None:
    run = Run(plan(leaf("a", "h1", retry=tries(2))))
    run.end("a@h1", Outcome.DECLINED, started=False, error="no such plugin")
    run.wait(SECOND)
    assert run.key("a@h1").attempt == 2
    run.end("a@h1", Outcome.DECLINED, started=False)
    assert run.status == "failed"
    assert run.run("a@h1").failure_kind == "infrastructure"


def test_a_once_step_stopped_on_its_host_is_not_started_again() -> None:
    run = Run(plan(leaf("a", "h1", retry=tries(5))))
    run.end("a@h1", Outcome.CANCELLED)
    assert run.status == "failed"


def test_resolving_what_is_known_is_refused() -> None:
    run = Run(plan(*CHAIN))
    with pytest.raises(Refused, match="a on h1 is not unknown"):
        run.give(i.UnknownResolved(RunKey("a", "h1"), "failed", "anna"))


def test_a_pause_gate_waits_for_a_person() -> None:
    gate = here("look", "gate.pause", parameters={"name": "go", "message": "look at ${{ 1 + 1 }}"})
    run = Run(plan(gate, leaf("a", "h1", after=["look"])))
    assert run.status == "waiting_approval"
    assert run.run("look").reason == "gate"
    assert run.state.gates["go"].prompt == "look at 2"
    run.refold()
    run.give(i.GateReleased("go", "anna", comment="fine"))
    assert run.run("look").outputs == {"by": "anna", "comment": "fine"}
    assert run.open() == ["a@h1"]


def test_a_denied_gate_fails_as_approval() -> None:
    run = Run(plan(here("look", "gate.pause")))
    run.give(i.GateReleased("look", "anna", "denied", "no"))
    assert run.status == "failed"
    assert run.run("look").failure_kind == "approval"


def test_waiting_approval_only_when_nothing_else_progresses() -> None:
    run = Run(plan(here("look", "gate.pause"), leaf("a", "h1")))
    assert run.status == "running"
    run.end("a@h1")
    assert run.status == "waiting_approval"


def test_offline_waits_and_goes_on_when_the_host_is_back() -> None:
    run = Run(plan(leaf("a", "h1")), begin=False)
    run.world.offline.add("h1")
    run.give(i.Begin("seed", "anna"))
    assert run.run("a@h1").reason == "offline"
    assert run.status == "running"
    run.give(i.HostChanged("h1"))
    assert run.open() == []
    run.world.offline.clear()
    run.refold()
    run.give(i.HostChanged("h1"))
    assert run.open() == ["a@h1"]
    assert next_wakeup(run.state) is None


def test_offline_past_its_deadline_fails_as_target() -> None:
    run = Run(plan(leaf("a", "h1", offline_deadline=60 * SECOND)), begin=False)
    run.world.offline.add("h1")
    run.give(i.Begin("seed", "anna"))
    run.wait(60 * SECOND)
    assert run.status == "failed"
    assert run.run("a@h1").failure_kind == "target"


@pytest.mark.parametrize(
    ("rule", "status", "outcome"), [(OnOffline.SKIP, "not_run", "completed"), (OnOffline.FAIL, "failed", "failed")]
)
def test_offline_skip_and_fail(rule: OnOffline, status: str, outcome: str) -> None:
    run = Run(plan(leaf("a", "h1", "h2", on_offline=rule), leaf("b", "h1", "h2", after=["a"])), begin=False)
    run.world.offline.add("h1")
    run.give(i.Begin("seed", "anna"))
    assert run.run("a@h1").status == status
    if rule is OnOffline.SKIP:
        run.end("a@h2")
        assert run.open() == ["b@h2"]
    run.finish()
    assert run.status == outcome


def test_a_host_that_left_during_a_step_is_waited_for_before_its_retry() -> None:
    run = Run(plan(leaf("a", "h1", on_offline=OnOffline.SKIP, retry=tries(2))))
    run.fail("a@h1")
    run.world.offline.add("h1")
    run.wait(SECOND)
    assert run.run("a@h1").reason == "offline"
    run.world.offline.clear()
    run.give(i.HostChanged("h1"))
    assert run.key("a@h1").attempt == 2


def test_a_step_deadline_stops_the_attempt_and_fails() -> None:
    run = Run(plan(leaf("a", "h1", deadline=60 * SECOND, retry=tries(9))))
    run.wait(60 * SECOND)
    assert [attempt.run.path for attempt in due(run.state).cancel] == ["a"]
    assert next_wakeup(run.state) is None
    run.end("a@h1", Outcome.CANCELLED)
    assert run.status == "failed"
    assert "deadline" in run.run("a@h1").error


def test_a_step_deadline_covers_its_retries() -> None:
    run = Run(plan(leaf("a", "h1", deadline=5 * SECOND, retry=tries(9, 4 * SECOND))))
    run.fail("a@h1")
    run.wait(4 * SECOND)
    run.fail("a@h1")
    assert run.status == "failed"


def test_the_execution_deadline_stops_everything() -> None:
    run = Run(plan(*CHAIN, deadline=60 * SECOND, finally_=[leaf("f", "h1")]))
    assert next_wakeup(run.state) == run.now + 60 * SECOND
    run.wait(60 * SECOND)
    run.end("a@h1", Outcome.CANCELLED)
    assert run.open() == ["f@h1"]
    run.finish()
    assert run.status == "failed"
    assert "deadline" in run.state.reason


def test_finally_sees_the_outcome_and_its_failure_is_the_executions() -> None:
    tell = here("tell", parameters={"that": "execution.outcome == 'failed'"})
    run = Run(plan(leaf("a", "h1"), finally_=[tell]))
    run.fail("a@h1")
    assert run.run("tell").status == "succeeded"
    run = Run(plan(leaf("a", "h1"), finally_=[tell]))
    run.end("a@h1")
    assert run.status == "failed"


def test_outputs_of_the_blueprint() -> None:
    run = Run(plan(leaf("a", "h1"), outputs={"n": "${{ count(steps.a.results) }}"}))
    run.finish()
    assert run.state.outputs == {"n": 1}


def test_retry_runs_again_only_what_did_not_succeed() -> None:
    steps = (leaf("a", "h1", "h2", on_failure=OnFailure.CONTINUE), leaf("b", "h1", "h2", after=["a"]))
    run = Run(plan(*steps, finally_=[leaf("f", "h1")]))
    run.fail("a@h1")
    run.finish()
    assert run.status == "completed"
    run.starts.clear()
    run.give(i.RetryFailed("anna"))
    assert run.status == "running"
    assert [str(key) for key in run.starts] == ["exe_1/a/h1//run/2"]
    run.finish()
    assert run.status == "completed"
    assert not run.state.warnings
    assert [str(key) for key in run.starts[1:]] == ["exe_1/b/h1//run/1", "exe_1/f/h1//run/2"]


def test_retry_goes_into_groups_and_loops() -> None:
    steps = [leaf("a"), leaf("b", after=["a"], for_each="${{ ['x', 'y'] }}"), leaf("c", after=["b"])]
    run = Run(plan(group("g", ["h1", "h2"], steps)))
    run.end("g/a@h1")
    run.end("g/a@h2")
    for name in ("g/b@h2#x", "g/b@h2#y", "g/b@h1#x"):
        run.end(name)
    run.end("g/c@h2")
    run.fail("g/b@h1#y")
    assert run.status == "failed"
    run.starts.clear()
    run.give(i.RetryFailed("anna"))
    assert run.open() == ["g/b@h1#y"]
    run.finish()
    assert run.status == "completed"
    assert [key.path for key in run.starts] == ["g/b", "g/c"]


def test_a_completed_execution_has_nothing_to_retry() -> None:
    run = Run(plan(*CHAIN))
    run.finish()
    with pytest.raises(Refused, match="nothing to retry"):
        run.give(i.RetryFailed("anna"))


def test_rerun_from_a_step_runs_it_and_its_dependents() -> None:
    run = Run(plan(leaf("a", "h1"), leaf("b", "h1", after=["a"]), leaf("c", "h1", after=["b"]), leaf("d", "h1")))
    run.finish()
    run.starts.clear()
    run.give(i.RerunFrom("b", "anna"))
    run.finish()
    assert [str(key) for key in run.starts] == ["exe_1/b/h1//run/2", "exe_1/c/h1//run/2"]
    with pytest.raises(Refused, match="no step `nothing`"):
        run.give(i.RerunFrom("nothing", "anna"))


def test_rerun_from_inside_a_group() -> None:
    steps = [leaf("a"), leaf("b", after=["a"])]
    run = Run(plan(group("g", ["h1"], steps), leaf("z", "h1", after=["g"])))
    run.finish()
    run.starts.clear()
    run.give(i.RerunFrom("g/b", "anna"))
    run.finish()
    assert [key.path for key in run.starts] == ["g/b", "z"]


def test_recovered_finds_what_could_start() -> None:
    run = Run(plan(leaf("a", "h1")), begin=False, world=FakeWorld())
    run.world.offline.add("h1")
    run.give(i.Begin("seed", "anna"))
    run.world.offline.clear()
    run.give(i.Recovered())
    assert run.open() == ["a@h1"]
    assert run.give(i.Recovered()).events == ()


@pytest.mark.parametrize("rule", [OnOffline.SKIP, OnOffline.FAIL])
def test_a_host_that_has_just_left_is_given_time_to_come_back(rule: OnOffline) -> None:
    run = Run(plan(leaf("a", "h1", on_offline=rule)), begin=False)
    run.world.offline.add("h1")
    run.world.left["h1"] = run.now - SECOND
    run.give(i.Begin("seed", "anna"))
    assert run.run("a@h1").reason == "offline"
    run.world.offline.clear()
    run.give(i.HostChanged("h1"))
    assert run.run("a@h1").status == "assigned"


@pytest.mark.parametrize(("rule", "status"), [(OnOffline.SKIP, "not_run"), (OnOffline.FAIL, "failed")])
def test_a_host_that_does_not_come_back_in_time_is_offline(rule: OnOffline, status: str) -> None:
    run = Run(plan(leaf("a", "h1", on_offline=rule)), begin=False)
    run.world.offline.add("h1")
    run.world.left["h1"] = run.now
    run.give(i.Begin("seed", "anna"))
    run.wait(RECONNECT_GRACE)
    assert run.run("a@h1").status == status
