"""At each dispatch a host is compared with its plan: what nobody has accepted pauses the execution."""

from dataclasses import replace

from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.plan import Batch, Plan, Resolved, Rollout
from pilotage_coordinator.domain.planning.drift import HostDrift
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND, FakeWorld, Run, leaf, plan, tries

NEWER = "command.run from pilotage 1 to pilotage 2"


def newer(host: str) -> HostDrift:
    return HostDrift(f"command.run on {host} comes from pilotage 2, planned was pilotage 1", NEWER)


def other(host: str) -> HostDrift:
    return HostDrift(f"{host} is another machine than planned", f"{host} is hst_2", other_machine=True)


def started(run: Run) -> list[str]:
    return [f"{key.path}@{key.host}" + (f"#{key.attempt}" if key.attempt > 1 else "") for key in run.starts]


def begun(made: Plan, **drifts: HostDrift) -> Run:
    world = FakeWorld(["h1", "h2", "h3"])
    world.drifts.update(drifts)
    return Run(made, world=world)


def test_a_host_that_drifted_pauses_before_anything_is_sent_to_it() -> None:
    run = begun(plan(leaf("a", "h1", "h2", "h3")), h2=newer("h2"))
    assert started(run) == ["a@h1"]
    assert run.state.status == "pausing"
    assert run.run("a@h2").status == "pending"
    assert run.run("a@h2").reason == "drift"
    run.end("a@h1")
    assert run.state.status == "paused"
    assert run.state.reason == "drift: command.run on h2 comes from pilotage 2, planned was pilotage 1"


def test_who_resumes_accepts_the_same_change_on_every_host() -> None:
    run = begun(plan(leaf("a", "h1", "h2", "h3")), h1=newer("h1"), h2=newer("h2"), h3=newer("h3"))
    assert started(run) == []
    run.give(i.ResumeRequested("anna"))
    assert sorted(started(run)) == ["a@h1", "a@h2", "a@h3"]
    run.end("a@h1")
    run.end("a@h2")
    run.end("a@h3")
    assert run.state.status == "completed"
    run.refold()


def test_another_change_is_asked_anew() -> None:
    run = begun(plan(leaf("a", "h1", "h2")), h1=other("h1"), h2=other("h2"))
    run.give(i.ResumeRequested("anna"))
    assert started(run) == ["a@h1"]
    assert run.state.status == "pausing"
    assert run.state.pause_reason == "drift: h2 is another machine than planned"
    run.give(i.ResumeRequested("anna"))
    assert started(run) == ["a@h1", "a@h2"]


def test_a_cancel_ends_what_was_held() -> None:
    run = begun(plan(leaf("a", "h1", "h2")), h1=newer("h1"))
    run.give(i.CancelRequested("anna"))
    assert run.state.status == "cancelled"
    assert run.run("a@h1").status == "cancelled"
    run.refold()


def test_the_host_is_looked_at_again_at_every_try() -> None:
    run = begun(plan(leaf("a", "h1", retry=tries(3))))
    run.fail("a@h1")
    run.world.drifts["h1"] = newer("h1")
    run.wait(60 * SECOND)
    assert run.state.status == "paused"
    run.give(i.ResumeRequested("anna"))
    assert started(run) == ["a@h1", "a@h1#2"]
    run.refold()


def test_it_stays_paused_over_a_restart() -> None:
    run = begun(plan(leaf("a", "h1")), h1=newer("h1"))
    run.give(i.Recovered())
    run.give(i.HostChanged("h1"))
    assert started(run) == []
    assert run.state.status == "paused"


def test_a_host_that_left_while_it_was_held_is_waited_for() -> None:
    run = begun(plan(leaf("a", "h1")), h1=newer("h1"))
    run.world.offline.add("h1")
    run.give(i.ResumeRequested("anna"))
    assert run.run("a@h1").reason == "offline"
    run.world.offline.clear()
    run.give(i.HostChanged("h1"))
    assert started(run) == ["a@h1"]


def test_batches_go_on_after_the_resume() -> None:
    rollout = Rollout(max_parallel=Share(1), batches=(Batch(Share(1)), Batch(Share(2))))
    run = begun(plan(leaf("a", "h1", "h2", "h3", rollout=rollout)), h2=newer("h2"))
    run.end("a@h1")
    assert run.state.status == "paused"
    run.give(i.ResumeRequested("anna"))
    run.end("a@h2")
    run.end("a@h3")
    assert run.state.status == "completed"


def test_a_value_that_is_not_as_planned_pauses_too() -> None:
    made = plan(leaf("a", "h1", parameters={"port": "${{ host.labels.port }}"}))
    made = replace(made, resolved={"a": {"h1": Resolved(parameters={"port": "80"})}})
    world = FakeWorld(["h1"])
    world.hosts["h1"] = {"name": "h1", "labels": {"port": "90"}, "facts": {}}
    run = Run(made, world=world)
    assert run.state.status == "paused"
    assert run.state.reason == "drift: parameter port of a on h1 is 90, planned was 80"
    run.give(i.ResumeRequested("anna"))
    assert run.state.open[next(iter(run.state.open))].parameters == {"port": "90"}


def test_what_runs_at_the_end_is_not_held_up_but_never_runs_on_another_machine() -> None:
    for drift, expected in ((newer("h1"), ["a@h1", "z@h1"]), (other("h1"), ["a@h1"])):
        run = begun(plan(leaf("a", "h1"), finally_=[leaf("z", "h1")]))
        run.world.drifts["h1"] = drift
        run.fail("a@h1")
        assert started(run) == expected
        assert run.state.pause_reason is None
    assert run.state.status == "failed"
    assert run.run("z@h1").error == "h1 is another machine than planned"


def test_nothing_is_undone_on_another_machine() -> None:
    run = begun(plan(leaf("a", "h1"), leaf("b", "h1", after=["a"])))
    run.end("a@h1")
    run.world.drifts["h1"] = other("h1")
    run.fail("b@h1")
    run.give(i.RollbackRequested("anna"))
    assert run.state.status == "rollback_incomplete"
    assert "another machine" in run.state.reason
    assert run.run("a@h1").status == "compensation_failed"
    run.refold()
