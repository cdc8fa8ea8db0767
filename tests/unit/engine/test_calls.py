"""Calls that are begun several times: for each host of a group, for each item; each run has arguments of its own."""

from dataclasses import replace
from typing import Any

import pytest
from pilotage_coordinator.domain.blueprint.parameter import Parameter, ParameterType, Validation
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.plan import HostsFrom, PlannedStep, Resolved
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import FakeWorld, Run, call, group, key_of, leaf, plan

WHO = Parameter("who", ParameterType.STRING, required=True, validation=Validation(max=5))
TOLD = {"who": "${{ parameters.who }}"}


def calling(id: str, steps: list[PlannedStep], who: str, after: tuple[str, ...] = (), **more: Any) -> PlannedStep:
    return call(id, steps, after, parameters={"who": who}, accepts={"who": WHO}, **more)


def told(run: Run, name: str) -> object:
    return run.state.open[key_of(name)].parameters["who"]


def test_inside_a_group_each_host_has_its_own_run_of_the_call() -> None:
    inner = [leaf("a", parameters=TOLD), leaf("b", after=["a"], parameters={"who": "${{ join(targets, ',') }}"})]
    looked = leaf("look")
    called = calling(
        "c", inner, "${{ steps.look.outputs.name }}", ("look",), outputs={"n": "${{ count(steps.a.results) }}"}
    )
    after = leaf("z", after=["c"], parameters={"who": "${{ string(steps.c.outputs.n) }}"})
    run = Run(plan(group("g", ["h1", "h2"], [looked, called, after])))
    run.end("g/look@h1", outputs={"name": "one"})
    run.end("g/look@h2", outputs={"name": "two"})
    assert (told(run, "g/c/a@h1"), told(run, "g/c/a@h2")) == ("one", "two")
    run.end("g/c/a@h1")
    run.end("g/c/a@h2")
    assert told(run, "g/c/b@h2") == "h2"
    run.end("g/c/b@h2")
    assert told(run, "g/z@h2") == "1"
    run.finish()
    assert run.status == "completed"
    assert run.run("g/c@h1").outputs == {"n": 1}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("${{ 3 }}", "expected a string"),
        ("${{ 'too long' }}", "above the greatest"),
        ("${{ item.x }}", "item"),
        ("${{ null }}", "expected"),
    ],
)
def test_arguments_that_do_not_fit_fail_the_call_and_nothing_inside_begins(value: str, words: str) -> None:
    run = Run(plan(calling("c", [leaf("a", "h1")], value)))
    assert run.status == "failed"
    assert run.run("c").failure_kind == "parameter"
    assert words in run.run("c").error
    assert run.statuses("c/a") == {}


def test_conditions_are_asked_of_all_arguments_together() -> None:
    called = calling("c", [leaf("a", "h1")], "${{ 'x' }}", arguments={"other": "y"})
    for condition, status in (("parameters.who != parameters.other", "running"), ("parameters.who == 'y'", "failed")):
        run = Run(plan(replace(called, conditions={"who": condition})))
        assert run.status == status


def test_what_the_plan_knew_of_an_argument_is_what_was_approved() -> None:
    world = FakeWorld(["h1", "h2"])
    called = calling("c", [leaf("a", parameters=TOLD)], "${{ host.name }}")
    approved = {
        "g/c": {"h1": Resolved(parameters={"who": "was"}), "h2": Resolved(parameters={"who": {"run_time": "x"}})}
    }
    run = Run(plan(group("g", ["h1", "h2"], [called]), resolved=approved), world=world)
    assert (told(run, "g/c/a@h1"), told(run, "g/c/a@h2")) == ("was", "h2")


def test_a_call_that_loops_runs_its_blueprint_for_each_item() -> None:
    over = leaf("a", "h1", "h2", parameters=TOLD)
    once = leaf("o", "h2", after=["a"], run_once=True)
    last = leaf(
        "b", after=["o"], hosts_from=HostsFrom("c/a"), parameters={"who": "${{ string(count(steps.a.results)) }}"}
    )
    seen = leaf("s", "h1", after=["o"], parameters={"who": "${{ steps.o.outputs.v }}"})
    called = calling("c", [over, once, last, seen], "${{ item_key }}", for_each="${{ ['x', 'y'] }}")
    run = Run(plan(called))
    assert told(run, "c/a@h1#y") == "y"
    for name in ("c/a@h1#x", "c/a@h2#x", "c/a@h1#y"):
        run.end(name)
    run.end("c/o@h2#x", outputs={"v": "of x"})
    assert run.open() == ["c/a@h2#y", "c/b@h1#x", "c/b@h2#x", "c/s@h1#x"]
    assert (told(run, "c/b@h1#x"), told(run, "c/s@h1#x")) == ("2", "of x")
    run.fail("c/a@h2#y")
    run.finish()
    assert run.statuses("c") == {"#x": "succeeded", "#y": "failed"}


def test_a_window_over_a_call_counts_items_and_a_retry_keeps_what_succeeded() -> None:
    called = calling("c", [leaf("a", "h1", parameters=TOLD)], "${{ item }}", for_each="${{ ['x', 'y'] }}")
    run = Run(plan(replace(called, rollout=replace(called.rollout, max_parallel=Share(1)))))
    assert run.open() == ["c/a@h1#x"]
    run.end("c/a@h1#x")
    run.fail("c/a@h1#y")
    run.give(i.RetryFailed("anna"))
    assert run.open() == ["c/a@h1#y"]
    assert told(run, "c/a@h1#y") == "y"
    run.finish()
    assert run.status == "completed"


def test_what_is_undone_after_a_retry_still_knows_its_arguments() -> None:
    back = leaf("u", parameters=TOLD)
    inner = leaf("a", "h1", undo="steps", undo_steps=(back,))
    run = Run(plan(calling("c", [inner], "${{ 'x' }}"), leaf("z", "h1", after=["c"], undo="none")))
    run.end("c/a@h1")
    run.fail("z@h1")
    run.give(i.RetryFailed("anna"))
    run.give(i.RollbackRequested("anna"))
    run.end("z@h1")
    assert told(run, "c/a/u@h1") == "x"
    run.finish()


def test_what_was_kept_at_a_retry_is_undone_in_a_rollback() -> None:
    """Also inside groups and loops, which are not opened again for it."""
    looped = leaf(
        "l", for_each="${{ ['x'] }}", undo="steps", undo_steps=(leaf("u", parameters={"who": "${{ item }}"}),)
    )
    kept = group("g", ["h1"], [leaf("a"), looped])
    run = Run(plan(kept, leaf("z", "h1", after=["g"], undo="none")))
    run.end("g/a@h1")
    run.end("g/l@h1#x")
    run.fail("z@h1")
    run.give(i.RetryFailed("anna"))
    run.give(i.RollbackRequested("anna"))
    run.end("z@h1")
    assert told(run, "g/l/u@h1#x") == "x"
    run.end("g/l/u@h1#x")
    assert run.open() == ["undo g/a@h1"]
    run.end("g/a@h1")
    assert (run.status, run.run("g/a@h1").status) == ("rolled_back", "compensated")
    run.refold()


def test_an_undo_step_knows_the_item_of_what_it_undoes() -> None:
    back = leaf("u", parameters={"who": "${{ item }}"})
    run = Run(
        plan(
            leaf("a", "h1", for_each="${{ ['x'] }}", undo="steps", undo_steps=(back,)),
            leaf("z", "h1", after=["a"], undo="none"),
        )
    )
    run.end("a@h1#x")
    run.give(i.RollbackRequested("anna"))
    run.end("z@h1")
    assert told(run, "a/u@h1#x") == "x"
