"""Retries of rollouts: what was judged, asked and waited for stays done, what was not is due again."""

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import Batch, Effect, Rollout, RolloutFailure
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND, FakeWorld, Run, call, group, key_of, leaf, plan, tries

ONE = (Batch(Share(1)),)


def judged(verdict: str = "fail", hosts: tuple[str, ...] = ("h1", "h2")) -> Run:
    """A rollout whose first batch got a verdict."""
    analysis = (leaf("judge", "h9", run_once=True, effect=Effect.READ),)
    rollout = Rollout(batches=ONE, analysis=analysis, max_failures=Share(0))
    run = Run(plan(group("g", hosts, [leaf("swap")], rollout=rollout), leaf("z", "h1", after=["g"])))
    run.end("g/swap@h1")
    run.end("g/judge@h9", outputs={"verdict": verdict})
    return run


@pytest.mark.parametrize("hosts", [("h1", "h2"), ("h1",)])
def test_a_batch_that_was_judged_bad_is_judged_again(hosts: tuple[str, ...]) -> None:
    run = judged("fail", hosts)
    assert run.status == "failed"
    run.give(i.RetryFailed("anna"))
    assert run.open() == ["g/judge@h9"]
    run.end("g/judge@h9", outputs={"verdict": "fail"})
    assert run.status == "failed"
    run.give(i.RetryFailed("anna"))
    run.end("g/judge@h9", outputs={"verdict": "pass"})
    assert run.open() == (["g/swap@h2"] if len(hosts) > 1 else ["z@h1"])
    run.finish()
    assert run.status == "completed"
    assert run.run("g/swap@h1").attempts == 1


def test_a_batch_that_a_person_judged_bad_is_judged_again() -> None:
    run = judged("inconclusive")
    run.give(i.GateReleased("g!analysis#1", "bob", "denied"))
    run.give(i.RetryFailed("eve"))
    assert run.open() == ["g/judge@h9"]


def gated(batch: Batch) -> Run:
    """A rollout by ones, with something between its batches."""
    run = Run(plan(group("g", ["h1", "h2", "h3"], [leaf("swap")], rollout=Rollout(batches=(batch,)))))
    run.end("g/swap@h1")
    return run


def test_a_gate_that_was_denied_is_asked_again() -> None:
    run = gated(Batch(Share(1), gate="ok"))
    run.give(i.GateReleased("ok#1", "bob", "denied"))
    assert run.status == "failed"
    run.give(i.RetryFailed("eve"))
    assert run.status == "waiting_approval"
    assert list(run.state.gates) == ["ok#1"]


def test_a_wait_that_was_cut_short_begins_again() -> None:
    run = gated(Batch(Share(1), wait=3600 * SECOND))
    run.give(i.CancelRequested("anna"))
    run.give(i.RetryFailed("anna"))
    assert run.open() == []
    run.wait(3600 * SECOND)
    assert run.open() == ["g/swap@h2"]


def test_what_was_asked_of_earlier_batches_is_not_asked_again() -> None:
    run = gated(Batch(Share(1), gate="ok"))
    run.give(i.GateReleased("ok#1", "bob"))
    run.fail("g/swap@h2")
    assert run.status == "failed"
    run.give(i.RetryFailed("anna"))
    assert run.open() == ["g/swap@h2"], "its own batch, without the gate before it"
    run.end("g/swap@h2")
    assert list(run.state.gates) == ["ok#2"]
    run.give(i.GateReleased("ok#2", "bob"))
    run.end("g/swap@h3")
    assert run.status == "completed"
    run.refold()


def test_a_rollout_that_was_over_stays_over() -> None:
    analysis = (leaf("judge", "h9", run_once=True, effect=Effect.READ),)
    rollout = Rollout(batches=ONE, analysis=analysis)
    run = Run(plan(group("g", ["h1"], [leaf("swap")], rollout=rollout), leaf("z", "h1", after=["g"])))
    run.end("g/swap@h1")
    run.end("g/judge@h9")
    run.fail("z@h1")
    run.give(i.RetryFailed("anna"))
    assert run.open() == ["z@h1"]


def test_a_rerun_begins_a_rollout_from_its_first_batch() -> None:
    run = gated(Batch(Share(1), gate="ok"))
    run.give(i.GateReleased("ok#1", "bob"))
    run.fail("g/swap@h2")
    run.give(i.RerunFrom("g", "anna"))
    assert run.open() == ["g/swap@h1"]
    run.end("g/swap@h1")
    assert list(run.state.gates) == ["ok#1"]


def test_two_items_of_a_loop_judge_their_own_batches() -> None:
    # No plan is made like this yet; the engine must not mix them up all the same.
    analysis = (leaf("judge", "h9", run_once=True, effect=Effect.READ),)
    inner = group("g", ["h1"], [leaf("swap")], rollout=Rollout(batches=ONE, analysis=analysis))
    run = Run(plan(call("o", [inner], for_each=("x", "y"))))
    run.end("o/g/swap@h1#x")
    run.end("o/g/swap@h1#y")
    run.end("o/g/judge@h9#x", outputs={"verdict": "pass"})
    run.end("o/g/judge@h9#y", outputs={"verdict": "fail"})
    assert run.run("o#x").status == "succeeded"
    assert run.run("o#y").status == "failed"
    run.refold()


def test_a_stop_ends_retries_too() -> None:
    run = Run(plan(leaf("a", "h1", retry=tries(3)), leaf("b", "h2")))
    run.fail("b@h2")
    run.fail("a@h1")
    assert run.status == "failed"
    assert run.run("a@h1").error.startswith("broken; not tried again: b on h2 failed")


def test_finally_steps_are_retried_after_a_stop() -> None:
    run = Run(plan(leaf("b", "h2"), finally_=[leaf("tidy", "h1", retry=tries(2))]))
    run.fail("b@h2")
    run.fail("tidy@h1")
    run.wait(SECOND)
    assert run.open() == ["tidy@h1"]


def test_an_unknown_is_not_tried_again_in_what_was_stopped() -> None:
    run = Run(plan(leaf("a", "h1"), leaf("b", "h2")))
    run.end("a@h1", Outcome.INTERRUPTED)
    run.give(i.CancelRequested("anna"))
    run.end("b@h2", Outcome.CANCELLED)
    with pytest.raises(Refused, match="nothing new starts there"):
        run.give(i.UnknownResolved(key_of("a@h1"), "retry", "anna"))
    run.give(i.UnknownResolved(key_of("a@h1"), "failed", "anna"))
    assert run.status == "cancelled"


def test_an_unknown_that_is_tried_again_has_its_deadline_again() -> None:
    run = Run(plan(leaf("a", "h1", deadline=10 * SECOND)))
    run.end("a@h1", Outcome.INTERRUPTED)
    run.wait(60 * SECOND)
    run.give(i.UnknownResolved(key_of("a@h1"), "retry", "anna"))
    assert run.open() == ["a@h1"]
    assert not run.state.cancels
    run.end("a@h1")
    assert run.status == "completed"


def test_an_unknown_resolved_as_succeeded_shows_no_error() -> None:
    run = Run(plan(leaf("a", "h1")), world=FakeWorld())
    run.end("a@h1", Outcome.INTERRUPTED, error="x")
    run.give(i.UnknownResolved(key_of("a@h1"), "succeeded", "anna"))
    assert (run.run("a@h1").error, run.run("a@h1").failure_kind) == ("", None)


def test_a_revert_after_a_retry_takes_the_batch_that_was_kept() -> None:
    rollout = Rollout(
        batches=ONE,
        analysis=(leaf("judge", "h9", run_once=True, effect=Effect.READ),),
        on_failure=RolloutFailure.REVERT_BATCH,
        max_failures=Share(0),
    )
    run = Run(plan(group("g", ["h1", "h2"], [leaf("swap"), leaf("more", after=["swap"])], rollout=rollout)))
    run.end("g/swap@h1")
    run.give(i.CancelRequested("anna"))
    run.end("g/more@h1", Outcome.CANCELLED)
    run.give(i.RetryFailed("anna"))
    run.end("g/more@h1")
    run.end("g/judge@h9", outputs={"verdict": "fail"})
    assert run.open() == ["undo g/more@h1"]
