"""Compensation: order, what is left as it is, failures, actions, conditions, and going on after a crash."""

from typing import Any

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import (
    Effect,
    FailureKind,
    OnFailure,
    Plan,
    PlannedStep,
    RollbackPlan,
    Rollout,
    RolloutFailure,
)
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND, Run, group, here, leaf, placed, plan


def back(*steps: PlannedStep, **more: Any) -> Plan:
    """A plan whose last step, `z` on h1, rolls everything back when it fails."""
    after = [step.path for step in steps]
    return plan(*steps, leaf("z", "h1", after=after, on_failure=OnFailure.ROLLBACK), **more)


def test_runs_are_undone_in_reverse_order_hosts_of_a_step_together() -> None:
    run = Run(back(leaf("a", "h1", "h2"), leaf("b", "h1", "h2", after=["a"])))
    for name in ("a@h1", "a@h2", "b@h1", "b@h2"):
        run.end(name, outputs={"was": name})
    run.fail("z@h1")
    assert run.status == "rolling_back"
    assert run.open() == ["undo b@h1", "undo b@h2"]
    assert run.state.open[run.run("b@h1").key].outputs == {"was": "b@h1"}
    run.refold()
    run.end("b@h1")
    assert run.open() == ["undo b@h2"]
    run.end("b@h2")
    assert run.open() == ["undo a@h1", "undo a@h2"]
    run.finish()
    assert run.status == "rolled_back"
    assert run.run("a@h1").status == "compensated"
    assert run.run("z@h1").status == "failed"


def test_hosts_of_a_group_go_back_independently_in_their_own_order() -> None:
    run = Run(back(group("g", ["h1", "h2"], [leaf("a"), leaf("b", after=["a"])])))
    for name in ("g/a@h1", "g/b@h1", "g/a@h2", "g/b@h2"):
        run.end(name)
    run.fail("z@h1")
    assert run.open() == ["undo g/b@h1", "undo g/b@h2"]
    run.end("g/b@h1")
    run.end("g/b@h2")
    assert run.open() == ["undo g/a@h1", "undo g/a@h2"]


def test_items_on_one_host_go_back_one_by_one() -> None:
    run = Run(back(leaf("a", "h1", for_each="${{ ['x', 'y'] }}")))
    run.end("a@h1#y")
    run.end("a@h1#x")
    run.fail("z@h1")
    assert run.open() == ["undo a@h1#x"]
    run.end("a@h1#x")
    assert run.open() == ["undo a@h1#y"]


def test_reads_and_assertions_need_no_undo_and_what_cannot_be_undone_is_listed() -> None:
    steps = (
        leaf("r", "h1", effect=Effect.READ),
        leaf("i", "h1", irreversible=True),
        leaf("n", "h1", undo="none"),
        here("v", parameters={"that": "true"}),
    )
    run = Run(back(*steps))
    for name in ("r@h1", "i@h1", "n@h1"):
        run.end(name)
    run.fail("z@h1")
    assert run.status == "rolled_back"
    assert {str(key): why for key, why in run.state.kept_back.items()} == {
        "i on h1": "irreversible",
        "n on h1": "undo: none",
    }


def test_a_failed_compensation_ends_incomplete_and_can_be_tried_again() -> None:
    run = Run(back(leaf("a", "h1"), leaf("b", "h1", after=["a"])))
    run.end("a@h1")
    run.end("b@h1")
    run.fail("z@h1")
    for _ in range(2):
        run.fail("b@h1")
        run.wait(600 * SECOND)
    run.fail("b@h1", error="gone")
    assert run.status == "rollback_incomplete"
    assert run.run("b@h1").status == "compensation_failed"
    assert run.run("a@h1").status == "succeeded"
    assert "undo of b on h1: gone" in run.state.reason
    run.refold()
    run.give(i.RollbackRequested("anna"))
    assert run.status == "rolling_back"
    assert run.key("b@h1").attempt == 4
    run.end("b@h1")
    run.end("a@h1")
    assert run.status == "rolled_back"
    run.refold()


def test_a_refused_undo_is_not_tried_again() -> None:
    run = Run(back(leaf("a", "h1")))
    run.end("a@h1")
    run.fail("z@h1")
    run.fail("a@h1", failure_kind=FailureKind.PARAMETER)
    assert run.status == "rollback_incomplete"


def test_an_interrupted_undo_is_made_again() -> None:
    run = Run(back(leaf("a", "h1")))
    run.end("a@h1")
    run.fail("z@h1")
    run.end("a@h1", Outcome.INTERRUPTED)
    run.wait(SECOND)
    assert run.key("a@h1").attempt == 2
    run.end("a@h1")
    assert run.status == "rolled_back"


def test_an_undo_waits_for_its_host() -> None:
    run = Run(back(leaf("a", "h2")))
    run.end("a@h2")
    run.world.offline.add("h2")
    run.fail("z@h1")
    assert run.open() == []
    assert run.status == "rolling_back"
    run.world.offline.clear()
    run.give(i.HostChanged("h2"))
    assert run.open() == ["undo a@h2"]
    run.finish()
    assert run.status == "rolled_back"


def test_an_undo_whose_host_never_comes_back_is_incomplete() -> None:
    run = Run(back(leaf("a", "h2", offline_deadline=60 * SECOND)))
    run.end("a@h2")
    run.world.offline.add("h2")
    run.fail("z@h1")
    run.wait(60 * SECOND)
    assert run.status == "rollback_incomplete"


def test_undo_steps() -> None:
    undo = (leaf("off"), leaf("drop", after=["off"], parameters={"id": "${{ steps.a.outputs.id }}"}))
    run = Run(back(leaf("a", "h1", undo="steps", undo_steps=undo)))
    run.end("a@h1", outputs={"id": 7})
    run.fail("z@h1")
    assert run.open() == ["a/off@h1"]
    run.end("a/off@h1")
    assert run.state.open[run.run("a/drop@h1").key].parameters == {"id": 7}
    run.fail("a/drop@h1")
    assert run.status == "rollback_incomplete"
    run.refold()
    run.give(i.RollbackRequested("anna"))
    assert run.open() == ["a/drop@h1"]
    run.finish()
    assert run.status == "rolled_back"


def test_actions_stand_in_for_undo() -> None:
    actions = (placed(leaf("one", "h1", "h2")), placed(leaf("two", "h1", after=["one"])))
    run = Run(back(leaf("a", "h1"), rollback=RollbackPlan(actions=actions)))
    run.end("a@h1")
    run.fail("z@h1")
    assert run.status == "rolling_back"
    assert run.open() == ["one@h1", "one@h2"]
    run.finish()
    assert run.status == "rolled_back"
    assert run.run("a@h1").status == "succeeded"


def test_a_failed_action_is_incomplete_and_can_be_tried_again() -> None:
    actions = (placed(leaf("one", "h1", "h2")), placed(leaf("two", "h1", after=["one"])))
    run = Run(back(leaf("a", "h1"), rollback=RollbackPlan(actions=actions)))
    run.end("a@h1")
    run.fail("z@h1")
    run.end("one@h1")
    run.fail("one@h2")
    assert run.status == "rollback_incomplete"
    run.give(i.RollbackRequested("anna"))
    assert run.open() == ["one@h2"]
    run.finish()
    assert run.status == "rolled_back"


def test_a_condition_that_does_not_hold_forbids_the_rollback() -> None:
    rollback = RollbackPlan(conditions=("steps.a.outputs.safe",))
    run = Run(back(leaf("a", "h1", run_once=True), rollback=rollback))
    run.end("a@h1", outputs={"safe": False})
    run.fail("z@h1")
    assert run.status == "failed"
    assert "steps.a.outputs.safe" in run.state.reason
    with pytest.raises(Refused, match="condition"):
        run.give(i.RollbackRequested("anna"))


def test_finally_runs_after_the_rollback() -> None:
    run = Run(back(leaf("a", "h1"), finally_=[leaf("f", "h1", parameters={"o": "${{ execution.outcome }}"})]))
    run.end("a@h1")
    run.fail("z@h1")
    assert run.open() == ["undo a@h1"]
    run.end("a@h1")
    assert run.open() == ["f@h1"]
    assert run.state.open[run.run("f@h1").key].parameters == {"o": "rolled_back"}
    run.finish()
    assert run.status == "rolled_back"


def test_what_still_runs_ends_before_the_rollback_begins() -> None:
    run = Run(plan(leaf("a", "h1", on_failure=OnFailure.ROLLBACK), leaf("b", "h2")))
    run.fail("a@h1")
    assert run.open() == ["b@h2"]
    run.end("b@h2")
    assert run.open() == ["undo b@h2"]


def test_rollback_of_an_ended_execution() -> None:
    run = Run(plan(leaf("a", "h1"), finally_=[leaf("f", "h1")]))
    run.finish()
    run.give(i.RollbackRequested("anna"))
    assert run.status == "rolling_back"
    assert run.open() == ["undo a@h1"]
    run.finish()
    assert run.status == "rolled_back"
    assert run.run("f@h1").attempts == 1


def test_rollback_of_an_ended_execution_with_nothing_to_undo() -> None:
    run = Run(plan(leaf("a", "h1", effect=Effect.READ)))
    run.finish()
    run.give(i.RollbackRequested("anna"))
    assert run.status == "rolled_back"
    run.refold()


def test_rollback_of_a_running_execution() -> None:
    run = Run(plan(leaf("a", "h1"), leaf("b", "h1", after=["a"])))
    run.end("a@h1")
    run.give(i.RollbackRequested("anna"))
    assert run.open() == ["b@h1"]
    run.end("b@h1")
    assert run.open() == ["undo b@h1"]
    with pytest.raises(Refused):
        run.give(i.CancelRequested("anna"))
    run.give(i.PauseRequested("anna"))
    run.end("b@h1")
    assert run.status == "paused"
    assert run.open() == []
    run.give(i.ResumeRequested("anna"))
    assert run.open() == ["undo a@h1"]
    run.finish()
    assert run.status == "rolled_back"


def test_a_failure_in_a_group_that_says_rollback_rolls_back() -> None:
    steps = [leaf("a"), leaf("b", after=["a"], on_failure=OnFailure.ROLLBACK)]
    run = Run(plan(group("g", ["h1"], steps)))
    run.end("g/a@h1")
    run.fail("g/b@h1")
    assert run.open() == ["undo g/a@h1"]
    run.finish()
    assert run.status == "rolled_back"


def test_a_cancel_never_stops_a_compensation() -> None:
    rollout = Rollout(max_failures=Share(0), on_failure=RolloutFailure.REVERT_ALL)
    cleaning = leaf("f", "h1", "h2", rollout=rollout)
    run = Run(plan(finally_=[cleaning]))
    run.end("f@h1")
    run.fail("f@h2")
    assert run.open() == ["undo f@h1"]
    run.give(i.CancelRequested("anna"))
    assert not run.state.cancels
    run.end("f@h1")
    assert run.status == "cancelled"
    run.refold()
