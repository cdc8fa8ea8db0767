"""Before each attempt the policy is asked once more: what it does not allow now holds the run and pauses all."""

from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.plan import OnFailure, Plan

from tests.unit.engine.build import SECOND, FakeWorld, Run, group, leaf, plan, tries

REQUEST = {"principal": "anna", "kind": "person"}
FROZEN = "command.run on h2 is not allowed now: deny by freeze (emergency)"


def started(run: Run) -> list[str]:
    return [f"{key.path}@{key.host}" for key in run.starts]


def begun(made: Plan, *, request: bool = True, **forbidden: str) -> Run:
    world = FakeWorld(["h1", "h2", "h3"])
    world.forbidden.update(forbidden)
    run = Run(made, begin=False, world=world)
    run.give(i.Begin("seed", "anna", REQUEST if request else {}))
    return run


def test_what_is_forbidden_pauses_before_anything_is_sent() -> None:
    run = begun(plan(leaf("a", "h1", "h2", "h3")), h2=FROZEN)
    assert started(run) == ["a@h1"]
    assert run.state.status == "pausing"
    assert run.run("a@h2").reason == "policy"
    run.end("a@h1")
    assert run.state.status == "paused"
    assert run.state.reason == f"policy: {FROZEN}"
    run.refold()


def test_a_resume_asks_again_and_waves_nothing_through() -> None:
    run = begun(plan(leaf("a", "h1", "h2")), h1=FROZEN)
    run.give(i.ResumeRequested("anna"))
    assert started(run) == []
    assert run.state.status == "paused"
    run.world.forbidden.clear()
    run.give(i.ResumeRequested("anna"))
    assert sorted(started(run)) == ["a@h1", "a@h2"]
    run.refold()


def test_each_try_is_asked_about() -> None:
    run = begun(plan(leaf("a", "h1", retry=tries(3))))
    run.fail("a@h1")
    run.world.forbidden["h1"] = FROZEN
    run.wait(60 * SECOND)
    assert run.state.status == "paused"
    assert len(run.starts) == 1


def test_a_cancel_ends_what_was_held() -> None:
    run = begun(plan(leaf("a", "h1")), h1=FROZEN)
    run.give(i.CancelRequested("anna"))
    assert run.state.status == "cancelled"
    assert run.run("a@h1").status == "cancelled"


def test_what_puts_in_order_goes_on() -> None:
    run = begun(plan(leaf("a", "h1"), finally_=[leaf("last", "h1")]))
    run.world.forbidden["h1"] = FROZEN
    run.end("a@h1")
    assert started(run) == ["a@h1", "last@h1"]
    run.refold()


def test_the_finally_of_a_group_goes_on_and_its_body_does_not() -> None:
    made = plan(group("g", ["h1"], steps=[leaf("a"), leaf("b", after=["a"])], finally_=[leaf("z")]))
    run = begun(made)
    run.world.forbidden["h1"] = FROZEN
    run.fail("g/a@h1")
    assert started(run) == ["g/a@h1", "g/z@h1"]


def test_an_undo_goes_on() -> None:
    run = begun(plan(leaf("a", "h1"), leaf("b", "h1", after=["a"], on_failure=OnFailure.ROLLBACK)))
    run.end("a@h1")
    run.world.forbidden["h1"] = FROZEN
    run.fail("b@h1")
    assert run.run("a@h1").status == "compensating"


def test_an_execution_of_which_nobody_knows_who_asked_is_left_alone() -> None:
    run = begun(plan(leaf("a", "h1")), request=False, h1=FROZEN)
    assert started(run) == ["a@h1"]
