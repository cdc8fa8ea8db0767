"""Groups, calls, loops, and what is seen from inside them."""

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import HostsFrom, OnFailure, Rollout
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import FakeWorld, Run, call, check, gate, group, here, leaf, plan


def test_a_group_goes_host_by_host() -> None:
    run = Run(plan(group("g", ["h1", "h2"], [leaf("a"), leaf("b", after=["a"])])))
    assert run.open() == ["g/a@h1", "g/a@h2"]
    run.end("g/a@h1")
    assert run.open() == ["g/a@h2", "g/b@h1"]
    run.end("g/b@h1")
    assert run.run("g@h1").status == "succeeded"
    run.finish()
    assert run.status == "completed"


def test_a_window_over_a_group_counts_hosts() -> None:
    rollout = Rollout(max_parallel=Share(1))
    run = Run(plan(group("g", ["h1", "h2"], [leaf("a"), leaf("b", after=["a"])], rollout=rollout)))
    run.end("g/a@h1")
    assert run.open() == ["g/b@h1"]
    run.end("g/b@h1")
    assert run.open() == ["g/a@h2"]


def test_finally_of_a_group_runs_after_a_failure_on_its_host() -> None:
    tidy = leaf("tidy")
    steps = [leaf("a"), leaf("b", after=["a"])]
    run = Run(plan(group("g", ["h1", "h2"], steps, finally_=(tidy,), on_failure=OnFailure.CONTINUE)))
    run.fail("g/a@h1")
    assert run.open() == ["g/a@h2", "g/tidy@h1"]
    assert run.run("g/b@h1").status == "not_run"
    run.finish()
    assert run.statuses("g") == {"h1": "failed", "h2": "succeeded"}
    assert run.status == "completed"


def test_a_stop_halts_the_sequences_of_other_hosts_but_their_finally_runs() -> None:
    steps = [leaf("a"), leaf("b", after=["a"])]
    run = Run(plan(group("g", ["h1", "h2"], steps, finally_=(leaf("tidy"),))))
    run.fail("g/a@h1")
    run.end("g/tidy@h1")
    assert run.open() == ["g/a@h2"]
    run.end("g/a@h2")
    assert run.open() == ["g/tidy@h2"]
    run.end("g/tidy@h2")
    assert run.status == "failed"
    assert run.statuses("g") == {"h1": "failed", "h2": "not_run"}
    run.refold()


def test_continue_inside_a_group_marks_its_host_failed_and_goes_on() -> None:
    steps = [leaf("a", on_failure=OnFailure.CONTINUE), leaf("b"), leaf("c", after=["a"])]
    run = Run(plan(group("g", ["h1"], steps), leaf("z", "h1", "h2", after=["g"])))
    run.fail("g/a@h1")
    run.end("g/b@h1")
    assert run.run("g/c@h1").status == "not_run"
    assert run.run("g@h1").status == "failed"
    # h2 was no host of the group: for it the group as a whole counts, and that failed.
    assert run.status == "completed"
    assert run.statuses("z") == {"h1": "not_run", "h2": "not_run"}


def test_a_coordinator_step_in_a_group_is_decided_for_each_host() -> None:
    world = FakeWorld(["h1", "h2"])
    world.hosts["h1"] = {"name": "h1", "facts": {"free": 1}}
    world.hosts["h2"] = {"name": "h2", "facts": {"free": 9}}
    check = here("check", parameters={"that": "host.facts.free > 5", "message": "full: ${{ host.name }}"})
    steps = [check, leaf("a", after=["check"])]
    run = Run(plan(group("g", ["h1", "h2"], steps, on_failure=OnFailure.CONTINUE)), world=world)
    assert run.open() == ["g/a@h2"]
    assert run.run("g/check@h1").error.startswith("full: h1")


def test_groups_nest() -> None:
    inner = group("in", [], [leaf("a"), leaf("b", after=["a"])])
    run = Run(plan(group("out", ["h1", "h2"], [inner, leaf("c", after=["in"])])))
    run.end("out/in/a@h1")
    run.end("out/in/b@h1")
    assert run.open() == ["out/c@h1", "out/in/a@h2"]
    run.finish()
    assert run.run("out/in@h2").status == "succeeded"


def test_a_call_fans_out_by_itself_and_returns_outputs() -> None:
    inner = [leaf("a", "h1", "h2"), leaf("b", "h2", after=["a"])]
    called = call(
        "sub",
        inner,
        arguments={"size": 3},
        outputs={"seen": "${{ count(steps.a.results) }}", "size": "${{ parameters.size }}"},
    )
    last = leaf("z", "h9", after=["sub"], parameters={"n": "${{ steps.sub.outputs.seen }}"})
    run = Run(plan(called, last))
    assert run.open() == ["sub/a@h1", "sub/a@h2"]
    run.end("sub/a@h1")
    run.end("sub/a@h2")
    run.end("sub/b@h2")
    assert run.run("sub").outputs == {"seen": 2, "size": 3}
    assert run.state.open[run.run("z@h9").key].parameters == {"n": 2}
    run.finish()


def test_outputs_of_a_call_that_cannot_be_evaluated_fail_it() -> None:
    run = Run(plan(call("sub", [leaf("a", "h1")], outputs={"x": "${{ steps.a.results[7].outputs }}"})))
    run.end("sub/a@h1")
    assert run.run("sub").status == "failed"
    assert "output `x`" in run.run("sub").error


def test_names_inside_a_call_are_its_own() -> None:
    sub = call("sub", [here("a", parameters={"that": "parameters.size == 3"})], arguments={"size": 3})
    run = Run(plan(sub, here("a", parameters={"that": "parameters.size == 1"}), parameters={"size": 1}))
    assert run.status == "completed"


def test_a_loop_runs_each_item() -> None:
    world = FakeWorld(["h1"])
    first = leaf("find", "h1")
    each = leaf(
        "save",
        "h1",
        after=["find"],
        for_each="${{ steps.find.outputs.volumes }}",
        key="${{ item.name }}",
        parameters={"path": "${{ item.path }}", "key": "${{ item_key }}"},
        rollout=Rollout(max_parallel=Share(1)),
    )
    run = Run(plan(first, each, leaf("z", "h1", after=["save"])), world=world)
    run.end("find@h1", outputs={"volumes": [{"name": "x", "path": "/x"}, {"name": "y", "path": "/y"}]})
    assert run.open() == ["save@h1#x"]
    assert run.state.open[run.run("save@h1#x").key].parameters == {"path": "/x", "key": "x"}
    run.end("save@h1#x")
    assert run.open() == ["save@h1#y"]
    run.end("save@h1#y")
    assert run.open() == ["z@h1"]
    run.finish()


def test_a_loop_over_nothing_succeeds() -> None:
    run = Run(plan(leaf("a", "h1", for_each="${{ [] }}"), leaf("b", "h1", after=["a"])))
    assert run.open() == ["b@h1"]


def test_items_that_cannot_be_looped_over_fail_as_parameters() -> None:
    cases = {
        "${{ 7 }}": "not a list",
        "${{ [1.5] }}": "key of item 0",
        "${{ ['a', 'a'] }}": "two items",
        "${{ ['a', 'b', 'c'] }}": "max_items",
    }
    for text, error in cases.items():
        run = Run(plan(leaf("a", "h1", for_each=text, max_items=2)))
        assert run.status == "failed"
        assert run.run("a@h1").failure_kind == "parameter"
        assert error in run.run("a@h1").error


def test_when_is_asked_for_each_item_where_it_names_it() -> None:
    run = Run(plan(leaf("a", "h1", for_each="${{ ['x', 'y'] }}", when="item == 'y'")))
    assert run.statuses("a") == {"h1#x": "skipped", "h1#y": "assigned"}
    run.finish()
    assert run.status == "completed"


def test_planned_items_are_what_was_approved() -> None:
    run = Run(plan(leaf("a", "h1", for_each="${{ ['later'] }}", planned_items={"h1": ["now"]})))
    assert run.open() == ["a@h1#now"]


def test_a_failed_item_stops_the_rest_unless_it_continues() -> None:
    one = Rollout(max_parallel=Share(1))
    run = Run(plan(leaf("a", "h1", for_each="${{ ['x', 'y'] }}", rollout=one)))
    run.fail("a@h1#x")
    assert run.status == "failed"
    run = Run(plan(leaf("a", "h1", for_each="${{ ['x', 'y'] }}", rollout=one, on_failure=OnFailure.CONTINUE)))
    run.fail("a@h1#x")
    assert run.open() == ["a@h1#y"]
    run.finish()
    assert run.status == "completed"


def test_an_unknown_item_holds_its_loop() -> None:
    one = Rollout(max_parallel=Share(1))
    run = Run(plan(leaf("a", "h1", "h2", for_each="${{ ['x', 'y'] }}", rollout=one)))
    run.end("a@h1#x", Outcome.INTERRUPTED)
    assert run.open() == ["a@h2#x"]
    run.end("a@h2#x")
    run.end("a@h2#y")
    assert run.status == "needs_attention"
    run.give(i.UnknownResolved(run.run("a@h1#x").key, "succeeded", "anna"))
    assert run.open() == ["a@h1#y"]
    run.finish()
    assert run.status == "completed"


def test_nothing_new_starts_in_a_loop_with_an_unknown_item() -> None:
    two = Rollout(max_parallel=Share(2))
    run = Run(plan(leaf("a", "h1", for_each="${{ ['x', 'y', 'z'] }}", rollout=two)))
    run.end("a@h1#x", Outcome.INTERRUPTED)
    run.end("a@h1#y")
    assert run.open() == []
    run.give(i.UnknownResolved(run.run("a@h1#x").key, "succeeded", "anna"))
    assert run.open() == ["a@h1#z"]


def test_a_group_may_loop() -> None:
    looped = group(
        "g",
        ["h1"],
        [leaf("a", parameters={"i": "${{ item.n }}"}), leaf("b", after=["a"])],
        for_each="${{ [{'k': 'x', 'n': 1}, {'k': 'y', 'n': 2}] }}",
        key="${{ item.k }}",
    )
    run = Run(plan(looped))
    assert run.open() == ["g/a@h1#x", "g/a@h1#y"]
    assert run.state.open[run.run("g/a@h1#y").key].parameters == {"i": 2}
    run.finish()
    assert run.statuses("g") == {"h1#x": "succeeded", "h1#y": "succeeded"}


def test_outputs_are_seen_in_the_same_scope_and_results_everywhere() -> None:
    steps = [leaf("a"), leaf("b", after=["a"], parameters={"v": "${{ steps.a.outputs.v }}"})]
    report = here("report", after=["g"], parameters={"that": "sum(pluck(steps.a.results, 'outputs.v')) == 3"})
    run = Run(plan(group("g", ["h1", "h2"], steps), report), world=FakeWorld(["h1", "h2"]))
    run.end("g/a@h2", outputs={"v": 2})
    run.end("g/a@h1", outputs={"v": 1})
    assert run.state.open[run.run("g/b@h2").key].parameters == {"v": 2}
    run.finish()
    assert run.status == "completed"


def test_at_plan_outputs_need_no_attempt() -> None:
    seen = leaf("find", "h1", at_plan=True, planned_outputs={"h1": {"n": 4}})
    run = Run(plan(seen, leaf("a", "h1", after=["find"], parameters={"n": "${{ steps.find.outputs.n }}"})))
    assert run.open() == ["a@h1"]
    assert run.state.open[run.run("a@h1").key].parameters == {"n": 4}


def test_run_once_outputs_are_seen_from_other_hosts() -> None:
    once = leaf("a", "h1", run_once=True)
    run = Run(plan(once, leaf("b", "h2", after=["a"], parameters={"n": "${{ steps.a.outputs.n }}"})))
    run.end("a@h1", outputs={"n": 7})
    assert run.state.open[run.run("b@h2").key].parameters == {"n": 7}


def test_a_failure_of_rendering_is_a_parameter_failure() -> None:
    run = Run(plan(leaf("a", "h1", parameters={"x": "${{ parameters.nothing }}"})))
    assert run.status == "failed"
    assert run.run("a@h1").failure_kind == "parameter"


@pytest.mark.parametrize(
    "expression",
    [
        "steps['a'].outputs.n",
        "steps.a['outputs'].n",
        "steps['a']['outputs']['n']",
        "steps . a . outputs . n",
        "sum(pluck(steps['b']['results'], 'outputs.n')) - steps.a.outputs.n",
    ],
)
def test_steps_are_found_however_their_names_are_written(expression: str) -> None:
    judge = here("j", after=["c"], parameters={"that": f"{expression} == 1"}, hosts=("h1",))
    inner = [leaf("a"), leaf("c", after=["a"], parameters={"n": f"${{{{ {expression} }}}}"}), judge]
    run = Run(plan(leaf("b", "h1", "h2"), group("g", ["h1"], inner, after=["b"])))
    for host in ("h1", "h2"):
        run.end(f"b@{host}", outputs={"n": 1})
    run.end("g/a@h1", outputs={"n": 1})
    assert run.state.open[RunKey("g/c", "h1")].parameters == {"n": 1}
    run.finish()
    assert run.status == "completed"


def test_a_condition_that_only_speaks_of_items_is_asked_once() -> None:
    run = Run(plan(leaf("a", "h1", for_each="${{ ['x', 'y'] }}", when="host.name == 'item'")))
    assert run.statuses("a") == {"h1": "skipped"}


def test_inside_a_group_a_step_is_skipped_where_it_is_not_meant() -> None:
    narrow = group("n", ["h2"], [leaf("i")], after=["a"])
    inner = [leaf("a", "h1"), narrow, leaf("z", after=["n"])]
    run = Run(plan(group("g", ["h1", "h2"], inner)))
    assert run.open() == ["g/a@h1", "g/n/i@h2"]
    assert run.statuses("g/a") == {"h1": "assigned", "h2": "skipped"}
    run.finish()
    assert run.statuses("g/n") == {"h1": "skipped", "h2": "succeeded"}
    assert run.statuses("g/n/i") == {"h2": "succeeded"}
    assert run.statuses("g/z") == {"h1": "succeeded", "h2": "succeeded"}
    assert run.status == "completed"


def test_inside_a_group_a_step_may_follow_where_another_succeeded() -> None:
    hosts = ("h1", "h2", "h3", "h4")
    looping = leaf("l", for_each="${{ ['p', 'q'] }}", on_failure=OnFailure.CONTINUE)
    follows = leaf("x", hosts_from=HostsFrom("a", ("h4",)))
    last = group("late", [], [leaf("y", hosts_from=HostsFrom("g/l", ("h4",)))])
    run = Run(
        plan(
            leaf("a", *hosts, rollout=Rollout(max_failures=Share(4))),
            group("g", hosts, [looping, follows], after=["a"], finally_=(last,), on_failure=OnFailure.CONTINUE),
        )
    )
    for host in hosts:
        run.end(f"a@{host}", Outcome.FAILED if host == "h1" else Outcome.SUCCEEDED)
    assert run.statuses("g/x") == {"h2": "assigned", "h3": "assigned", "h4": "skipped"}
    run.fail("g/l@h2#p")
    run.finish()
    assert run.statuses("g/late/y") == {"h2": "skipped", "h3": "succeeded", "h4": "skipped"}


def test_a_gate_inside_a_group_holds_its_host_alone() -> None:
    gated = group("a", [], [leaf("a"), gate([check("up")], ["a"], for_=0)])
    run = Run(plan(group("g", ["h1", "h2"], [gated, leaf("z", after=["a"])])))
    run.end("g/a/a@h1")
    run.end("g/a/!health/up@h1")
    assert run.open() == ["g/a/a@h2", "g/z@h1"]
    run.finish()
    assert run.status == "completed"
