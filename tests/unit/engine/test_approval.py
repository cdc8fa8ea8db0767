"""What waits for people's approval: before steps, before everything, between batches, and as a step of its own."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.approval.errors import AnswerRefused
from pilotage_coordinator.domain.approval.gate import Escalation, Gate, OnTimeout
from pilotage_coordinator.domain.approval.request import Request, Vote
from pilotage_coordinator.domain.execution import events as e
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import Batch, OnFailure, Plan, Resolved, RollbackPlan, Rollout, RolloutFailure
from pilotage_coordinator.domain.planning.drift import HostDrift
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine import grants
from pilotage_coordinator.engine.due import next_wakeup

from tests.unit.engine.build import SECOND, FakeWorld, Run, call, group, here, leaf, placed, plan

HOUR = 3600 * SECOND
EVERYBODY = frozenset({"anna", "bert", "carl", "dora"})
ASKED = (Gate(),)


def request(run: Run, name: str = "") -> Request:
    """The open request at a gate; the only one without a name."""
    if not name:
        (name,) = run.state.gates
    found = run.state.gates[name].approval
    assert found is not None
    return found


def vote(run: Run, by: str = "bert", say: str = "approve", name: str = "", **more: Any) -> None:
    asked = request(run, name)
    run.give(i.ApprovalAnswered(asked.id, "sha256:1", Vote(by, say, **more), EVERYBODY))  # type: ignore[arg-type]
    run.refold()


def test_a_step_waits_until_it_is_approved_and_then_goes_over_all_its_hosts() -> None:
    run = Run(plan(leaf("a", "h1"), leaf("b", "h1", "h2", after=["a"], approvals=ASKED)))
    run.end("a@h1")
    assert (run.status, run.open()) == ("waiting_approval", [])
    assert request(run).plan_digest == "sha256:1"
    assert request(run).requesters == ("anna",)
    vote(run)
    assert run.open() == ["b@h1", "b@h2"]
    assert run.state.grants["b!approval"].approved
    run.finish()
    assert run.status == "completed"


def test_other_steps_go_on_meanwhile() -> None:
    run = Run(plan(leaf("a", "h1", approvals=ASKED), leaf("b", "h1")))
    assert (run.status, run.open()) == ("running", ["b@h1"])
    run.end("b@h1")
    assert run.status == "waiting_approval"


def test_a_no_is_a_failure_of_the_step() -> None:
    run = Run(plan(leaf("a", "h1", "h2", approvals=ASKED), leaf("b", "h1", after=["a"])))
    vote(run, say="reject", comment="not now")
    assert run.status == "failed"
    assert run.statuses("a") == {"h1": "not_run", "h2": "not_run"}
    assert "denied by bert: not now" in run.state.reason
    assert run.starts == []


def test_a_no_to_a_step_that_may_fail_goes_on() -> None:
    run = Run(plan(here("a", "gate.pause", approvals=ASKED, on_failure=OnFailure.CONTINUE), leaf("b", "h1")))
    vote(run, say="reject")
    assert run.run("a").failure_kind == "approval"
    run.finish()
    assert (run.status, run.state.warnings) == ("completed", True)


def test_every_approval_of_a_step_is_needed_and_one_no_ends_the_others() -> None:
    run = Run(plan(leaf("a", "h1", approvals=(Gate(), Gate(of=("carl",))))))
    vote(run, name="a!approval")
    assert (run.status, run.open()) == ("waiting_approval", [])
    vote(run, "carl", name="a!approval#2", stands_on="carl")
    assert run.open() == ["a@h1"]
    again = Run(plan(leaf("a", "h1", approvals=(Gate(), Gate()))))
    vote(again, say="reject", name="a!approval")
    assert (again.status, dict(again.state.gates)) == ("failed", {})


def test_a_step_in_a_group_asks_once_for_all_its_hosts() -> None:
    inner = [leaf("a"), leaf("b", after=["a"], approvals=ASKED)]
    run = Run(plan(group("g", ["h1", "h2", "h3"], inner)))
    run.end("g/a@h1")
    assert run.run("g/b@h1").reason == "approval"
    run.end("g/a@h2")
    assert len(run.state.gates) == 1
    vote(run)
    assert run.open() == ["g/a@h3", "g/b@h1", "g/b@h2"]
    run.end("g/a@h3")
    assert "g/b@h3" in run.open()
    run.finish()
    assert run.status == "completed"


def test_a_no_in_a_group_is_one_for_hosts_that_come_later() -> None:
    inner = [leaf("a"), leaf("b", after=["a"], approvals=ASKED)]
    rollout = Rollout(max_failures=Share(3))
    run = Run(plan(group("g", ["h1", "h2"], inner, rollout=rollout)))
    run.end("g/a@h1")
    vote(run, say="reject")
    run.end("g/a@h2")
    assert run.statuses("g/b") == {"h1": "failed", "h2": "failed"}


def test_whose_only_host_fails_before_is_asked_for_no_more() -> None:
    inner = [leaf("a"), leaf("c"), leaf("b", after=["a"], approvals=ASKED)]
    run = Run(plan(group("g", ["h1", "h2"], inner, rollout=Rollout(max_failures=Share(3)))))
    run.end("g/a@h1")
    run.end("g/a@h2")
    run.fail("g/c@h1")
    assert list(run.state.gates["g/b!approval"].waiting) == [run.run("g/b@h2").key]
    run.fail("g/c@h2")
    assert dict(run.state.gates) == {}
    run.refold()


def test_a_call_waits_as_a_whole() -> None:
    run = Run(plan(call("c", [leaf("a", "h1")], approvals=ASKED)))
    assert run.run("c").reason == "approval"
    vote(run)
    assert run.open() == ["c/a@h1"]


def test_a_step_that_is_known_not_to_run_asks_nobody() -> None:
    never = {"a": {"h1": Resolved(when=False), "h2": Resolved(when=False)}}
    run = Run(plan(leaf("a", "h1", "h2", approvals=ASKED, when="false"), resolved=never))
    assert (run.status, run.statuses("a")) == ("completed", {"h1": "skipped", "h2": "skipped"})


@pytest.mark.parametrize("inside", [False, True])
def test_a_step_that_was_known_not_to_run_and_would_now_has_failed_instead_of_running_unasked(inside: bool) -> None:
    step = leaf("a", "h1", approvals=ASKED, when="true")
    never = {"g/a" if inside else "a": {"h1": Resolved(when=False)}}
    run = Run(plan(group("g", ["h1"], [step]) if inside else step, resolved=never))
    assert (run.status, run.starts) == ("failed", [])
    assert "nobody was asked" in run.run("g/a@h1" if inside else "a@h1").error


def test_what_failed_before_it_asks_nobody() -> None:
    run = Run(plan(leaf("a", "h1", on_failure=OnFailure.CONTINUE), leaf("b", "h1", after=["a"], approvals=ASKED)))
    run.fail("a@h1")
    assert run.status == "completed"
    assert not any(isinstance(event, e.ApprovalAsked) for event, _ in run.history)


# --- before everything ------------------------------------------------------------------------------------------------


def _whole(**more: Any) -> Plan:
    return plan(leaf("a", "h1"), leaf("b", "h2"), approvals=ASKED, finally_=[leaf("f", "h1")], **more)


def test_nothing_starts_before_the_whole_plan_is_approved() -> None:
    run = Run(_whole())
    assert (run.status, run.open()) == ("waiting_approval", [])
    vote(run)
    assert run.open() == ["a@h1", "b@h2"]
    run.finish()
    assert run.status == "completed"


@pytest.mark.parametrize("ask", ["reject", "cancel", "expire", "withdraw"])
def test_what_was_not_allowed_to_begin_ends_without_doing_anything(ask: str) -> None:
    actions = RollbackPlan(actions=(placed(leaf("r", "h1")),))
    run = Run(_whole(on_failure=OnFailure.ROLLBACK, rollback=actions))
    match ask:
        case "reject":
            vote(run, say="reject")
        case "cancel":
            run.give(i.CancelRequested("anna"))
        case "expire":
            run.wait(24 * HOUR)
        case _:
            run.give(i.ApprovalWithdrawn(request(run).id, "coordinator", "the plan drifted"))
    run.refold()
    assert run.status == ("cancelled" if ask == "cancel" else "failed")
    assert (run.starts, dict(run.state.gates)) == ([], {})
    with pytest.raises(Refused, match="nothing of it was ever approved"):
        run.give(i.RollbackRequested("anna"))


def test_a_retry_asks_anew_and_who_asked_for_it_may_not_approve_it() -> None:
    run = Run(_whole())
    first = request(run).id
    vote(run)
    run.fail("a@h1")
    run.end("b@h2")
    run.end("f@h1")
    assert run.status == "failed"
    run.give(i.RetryFailed("carl"))
    assert run.status == "waiting_approval"
    assert (request(run).id != first, request(run).requesters) == (True, ("anna", "carl"))
    with pytest.raises(AnswerRefused, match="carl asked for this"):
        vote(run, "carl")
    with pytest.raises(Refused, match="is not open"):
        run.give(i.ApprovalAnswered(first, "sha256:1", Vote("bert", "approve"), EVERYBODY))
    vote(run)
    assert run.open() == ["a@h1"]


def test_what_was_done_before_a_retry_that_nobody_approves_can_still_be_undone() -> None:
    run = Run(_whole())
    vote(run)
    run.end("a@h1")
    run.fail("b@h2")
    run.end("f@h1")
    run.give(i.RetryFailed("anna"))
    vote(run, say="reject")
    assert run.status == "failed"
    run.give(i.RollbackRequested("anna"))
    assert run.open() == ["undo a@h1"]


# --- between batches --------------------------------------------------------------------------------------------------


def _batches(gate: Gate, **more: Any) -> Plan:
    rollout = Rollout(batches=(Batch(Share(1), approval=gate), Batch(Share(5))), **more)
    return plan(leaf("a", "h1", "h2", "h3", rollout=rollout))


def test_the_next_batch_waits_for_people() -> None:
    run = Run(_batches(Gate(description="is h1 well?")))
    run.end("a@h1")
    assert (run.status, run.state.gates["a#1"].prompt) == ("waiting_approval", "is h1 well?")
    with pytest.raises(Refused, match="a#1 of exe_1 is an approval: answer it with `pilotage approval approve apr_"):
        run.give(i.GateReleased("a#1", "bert"))
    vote(run)
    assert run.open() == ["a@h2", "a@h3"]


@pytest.mark.parametrize(
    ("on_timeout", "rollout", "open"),
    [
        (OnTimeout.DENY, RolloutFailure.STOP, []),
        (OnTimeout.DENY, RolloutFailure.REVERT_ALL, ["undo a@h1"]),
        (OnTimeout.REVERT, RolloutFailure.STOP, ["undo a@h1"]),
        (OnTimeout.STOP, RolloutFailure.REVERT_ALL, []),
    ],
)
def test_no_answer_between_batches(on_timeout: OnTimeout, rollout: RolloutFailure, open: list[str]) -> None:
    run = Run(_batches(Gate(timeout=HOUR, on_timeout=on_timeout), on_failure=rollout))
    run.end("a@h1")
    run.wait(HOUR)
    run.refold()
    assert run.open() == open
    run.finish()
    assert run.status == "failed"
    assert run.statuses("a")["h2"] == "not_run"


def test_a_cancel_ends_what_was_asked() -> None:
    run = Run(_batches(Gate()))
    run.end("a@h1")
    run.give(i.CancelRequested("anna"))
    run.refold()
    assert (run.status, dict(run.state.gates), run.state.timers.first()) == ("cancelled", {}, None)


# --- approval.ask -----------------------------------------------------------------------------------------------------


def _ask(**more: Any) -> Plan:
    return plan(here("a", "approval.ask", parameters={"message": "is it well?", **more}), leaf("b", "h1", after=["a"]))


def test_a_step_that_only_asks() -> None:
    run = Run(_ask(required=2, of=["bert", "role:dba"], comment=True))
    assert run.status == "waiting_approval"
    vote(run, stands_on="bert", comment="fine")
    vote(run, "carl", stands_on="role:dba", comment="by me too")
    outputs = run.run("a").outputs
    assert (outputs["by"], outputs["comment"]) == ("bert, carl", "fine; by me too")
    assert run.open() == ["b@h1"]


def test_a_step_that_only_asks_and_hears_no() -> None:
    run = Run(_ask())
    vote(run, say="reject")
    assert (run.status, run.run("a").failure_kind) == ("failed", "approval")


@pytest.mark.parametrize(("on_timeout", "open"), [("deny", []), ("stop", []), ("revert", ["undo z@h1"])])
def test_a_step_that_only_asks_and_hears_nothing(on_timeout: str, open: list[str]) -> None:
    asks = here("a", "approval.ask", ["z"], parameters={"message": "?", "timeout": "1h", "on_timeout": on_timeout})
    run = Run(plan(leaf("z", "h1"), asks))
    run.end("z@h1")
    run.wait(HOUR)
    assert run.open() == open
    assert run.run("a").status == "failed"


# --- time, pauses, drift ----------------------------------------------------------------------------------------------


def test_escalations_come_in_their_time_and_survive_a_refold() -> None:
    gate = Gate(of=("bert",), escalate=(Escalation(HOUR, "carl"),), timeout=3 * HOUR)
    run = Run(plan(leaf("a", "h1", approvals=(gate,))))
    with pytest.raises(AnswerRefused, match="carl is not asked"):
        vote(run, "carl", stands_on="carl")
    run.wait(HOUR)
    run.refold()
    vote(run, "carl", stands_on="carl")
    assert run.open() == ["a@h1"]


def test_an_answer_that_comes_after_the_time_is_none_even_where_nobody_has_looked() -> None:
    run = Run(plan(leaf("a", "h1", approvals=(Gate(timeout=HOUR),))))
    run.now += HOUR
    with pytest.raises(AnswerRefused, match="expired"):
        vote(run)
    run.wait(0)
    assert run.status == "failed"


def test_what_is_approved_in_a_pause_starts_at_its_end() -> None:
    run = Run(plan(leaf("a", "h1", approvals=ASKED)))
    run.give(i.PauseRequested("anna"))
    vote(run)
    assert (run.status, run.open()) == ("paused", [])
    run.give(i.ResumeRequested("anna"))
    assert run.open() == ["a@h1"]


def test_a_pause_gives_nobody_more_time_to_answer_and_starts_nothing() -> None:
    gate = Gate(of=("bert",), escalate=(Escalation(HOUR, "carl"),), timeout=3 * HOUR)
    run = Run(plan(leaf("a", "h1", approvals=(gate,)), leaf("b", "h1", after=["a"])))
    run.give(i.PauseRequested("anna"))
    assert next_wakeup(run.state) == run.now + HOUR
    run.wait(HOUR)
    assert request(run).of == ("bert", "carl")
    run.wait(2 * HOUR)
    run.refold()
    assert (run.status, dict(run.state.gates), run.open()) == ("paused", {}, [])
    assert next_wakeup(run.state) is None
    run.give(i.ResumeRequested("anna"))
    assert run.status == "failed"
    assert "nobody answered in time" in run.state.reason


def test_a_recovery_asks_nobody_twice() -> None:
    run = Run(plan(leaf("a", "h1", "h2", approvals=ASKED), approvals=ASKED))
    run.give(i.Recovered())
    vote(run)
    run.give(i.Recovered())
    assert len([event for event, _ in run.history if isinstance(event, e.ApprovalAsked)]) == 2
    run.refold()


def test_nobody_accepts_a_drift_for_those_who_approved() -> None:
    world = FakeWorld()
    run = Run(plan(leaf("a", "h1", approvals=ASKED)), world=world)
    world.drifts["h1"] = HostDrift("h1 has another plugin", "plugin", other_machine=False)
    vote(run)
    assert run.status == "paused"
    with pytest.raises(Refused, match="nobody can accept this for those who approved it"):
        run.give(i.ResumeRequested("anna"))
    run.give(i.CancelRequested("anna"))
    assert run.status == "cancelled"


def test_what_drifts_while_it_is_paused_is_what_it_is_paused_for_from_then_on() -> None:
    world = FakeWorld()
    run = Run(plan(leaf("a", "h1", approvals=ASKED)), world=world)
    run.give(i.PauseRequested("anna", "not today"))
    vote(run)
    world.drifts["h1"] = HostDrift("h1 has another plugin", "plugin", other_machine=False)
    run.give(i.ResumeRequested("anna"))
    run.refold()
    assert (run.status, run.state.reason) == ("paused", "drift: h1 has another plugin")


def test_an_open_question_does_not_outlive_its_execution() -> None:
    run = Run(plan(leaf("a", "h1", approvals=ASKED), leaf("b", "h1")))
    run.fail("b@h1")
    assert (run.status, dict(run.state.gates), run.state.timers.first()) == ("failed", {}, None)
    run.refold()


def test_an_attempt_rests_on_every_approval_around_it_and_an_undo_on_none() -> None:
    inner = call("c", [replace(leaf("a", "h1"), approvals=ASKED)], approvals=ASKED)
    run = Run(plan(inner, approvals=ASKED))
    with pytest.raises(RuntimeError, match="without the approval that !start asks for"):
        grants.rests_on(run.state, "c/a")
    for _ in range(3):
        vote(run)
    assert run.open() == ["c/a@h1"]
    assert len(set(grants.rests_on(run.state, "c/a"))) == 3


def test_an_unknown_run_and_an_approval_do_not_hide_each_other() -> None:
    run = Run(plan(leaf("a", "h1", approvals=ASKED), leaf("b", "h1", on_failure=OnFailure.CONTINUE)))
    run.end("b@h1", Outcome.INTERRUPTED)
    assert run.status == "needs_attention"
    vote(run)
    assert run.open() == ["a@h1"]
