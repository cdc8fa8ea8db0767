"""What happens between two batches: analyses, and an order that is computed anew."""

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import Batch, Effect, OnFailure, PlannedStep, Rollout, RolloutFailure
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND, FakeWorld, Run, group, here, leaf, plan

BY_TWO = (Batch(Share(2)),)


def judged(that: str = "true", batches: tuple[Batch, ...] = BY_TWO, **more: object) -> Rollout:
    """A rollout whose batches are judged by a condition."""
    chosen = RolloutFailure.REVERT_BATCH if not more else RolloutFailure(str(more["on_failure"]))
    analysis = (here("slower", parameters={"that": that}),)
    return Rollout(batches=batches, on_failure=chosen, max_failures=Share(2), analysis=analysis)


def test_each_batch_is_judged_on_its_own_results() -> None:
    rollout = judged("max(pluck(steps.swap.results, 'outputs.p95')) < 100")
    run = Run(plan(group("g", ["h1", "h2", "h3", "h4"], [leaf("swap")], rollout=rollout)))
    run.end("g/swap@h1", outputs={"p95": 20})
    run.end("g/swap@h2", outputs={"p95": 30})
    assert run.open() == ["g/swap@h3", "g/swap@h4"]
    run.end("g/swap@h3", outputs={"p95": 20})
    run.end("g/swap@h4", outputs={"p95": 120})
    assert run.open() == ["undo g/swap@h3", "undo g/swap@h4"], "only the batch that was judged bad"
    run.finish()
    assert run.status == "failed"
    assert "the analysis of batch 2 failed: g/slower failed" in run.state.reason


@pytest.mark.parametrize(
    ("answer", "undone"),
    [
        ("stop", []),
        ("revert_host", ["undo g/swap@h3", "undo g/swap@h4"]),
        ("revert_batch", ["undo g/swap@h3", "undo g/swap@h4"]),
        ("revert_all", ["undo g/swap@h1", "undo g/swap@h2", "undo g/swap@h3", "undo g/swap@h4"]),
    ],
)
def test_a_bad_batch_is_answered_as_the_rollout_says(answer: str, undone: list[str]) -> None:
    rollout = judged("batch.index == 0", on_failure=answer)
    run = Run(plan(group("g", ["h1", "h2", "h3", "h4", "h5"], [leaf("swap")], rollout=rollout)))
    for host in ("h1", "h2", "h3", "h4"):
        run.end(f"g/swap@{host}")
    assert run.open() == undone
    run.finish()
    assert run.run("g@h5").status == "not_run"
    assert run.status == "failed"


def test_the_last_batch_is_judged_before_the_step_ends() -> None:
    rollout = judged("false", batches=())
    run = Run(plan(group("g", ["h1"], [leaf("swap")], rollout=rollout), leaf("z", "h1", after=["g"])))
    run.end("g/swap@h1")
    assert run.open() == ["undo g/swap@h1"]
    run.finish()
    assert run.statuses("z") == {}
    assert run.status == "failed"


def test_an_analysis_comes_before_the_wait_and_runs_once_for_each_batch() -> None:
    analysis = (leaf("load", "h9", run_once=True),)
    rollout = Rollout(batches=(Batch(Share(1), wait=60 * SECOND),), analysis=analysis)
    run = Run(plan(group("g", ["h1", "h2"], [leaf("swap")], rollout=rollout)))
    run.end("g/swap@h1")
    assert run.open() == ["g/load@h9"]
    run.end("g/load@h9")
    assert run.open() == []
    run.wait(60 * SECOND)
    run.end("g/swap@h2")
    assert run.key("g/load@h9").attempt == 2
    run.end("g/load@h9")
    assert run.status == "completed"
    run.refold()


@pytest.mark.parametrize("verdict", ["inconclusive", "perhaps"])
def test_a_person_decides_where_the_analysis_cannot(verdict: str) -> None:
    run = _doubtful(verdict)
    assert run.status == "waiting_approval"
    assert list(run.state.gates) == ["g!analysis#1"]
    assert verdict in run.state.gates["g!analysis#1"].prompt
    run.give(i.GateReleased("g!analysis#1", "anna"))
    assert run.open() == ["g/swap@h2"]
    run.end("g/swap@h2")
    run.end("g/load@h9", outputs={"verdict": "pass"})
    assert run.status == "completed"
    run.refold()


def test_a_person_can_judge_a_doubtful_batch_bad() -> None:
    run = _doubtful("inconclusive")
    run.give(i.GateReleased("g!analysis#1", "anna", "denied"))
    assert run.open() == ["undo g/swap@h1"]
    run.finish()
    assert run.status == "failed"


def test_a_cancel_ends_the_doubt() -> None:
    run = _doubtful("inconclusive")
    run.give(i.CancelRequested("anna"))
    assert run.status == "cancelled"
    assert not run.state.gates


def test_a_verdict_of_fail_fails_the_batch() -> None:
    run = _doubtful("fail")
    assert run.open() == ["undo g/swap@h1"]


def _doubtful(verdict: str) -> Run:
    analysis = (leaf("load", "h9", run_once=True),)
    rollout = Rollout(batches=(Batch(Share(1)),), analysis=analysis, on_failure=RolloutFailure.REVERT_ALL)
    run = Run(plan(group("g", ["h1", "h2"], [leaf("swap")], rollout=rollout)))
    run.end("g/swap@h1")
    run.end("g/load@h9", outputs={"verdict": verdict})
    return run


def test_a_cancel_during_an_analysis() -> None:
    analysis = (leaf("load", "h9", run_once=True), leaf("more", "h9", run_once=True, after=["load"]))
    rollout = Rollout(batches=(Batch(Share(1)),), analysis=analysis)
    run = Run(plan(group("g", ["h1", "h2"], [leaf("swap")], rollout=rollout)))
    run.end("g/swap@h1")
    run.give(i.CancelRequested("anna"))
    run.end("g/load@h9", Outcome.CANCELLED)
    assert run.status == "cancelled"
    run.refold()


def test_a_tolerated_failure_is_among_the_results() -> None:
    rollout = judged("count(where(steps.swap.results, 'status', 'failed')) == 1")
    run = Run(plan(group("g", ["h1", "h2"], [leaf("swap")], rollout=rollout)))
    run.end("g/swap@h1")
    run.fail("g/swap@h2")
    assert run.status == "completed"


def _roles(run: Run, **roles: str) -> None:
    for host, role in roles.items():
        run.end(f"g/role@{host}", outputs={"role": role})


def ordered() -> tuple[Rollout, list[PlannedStep]]:
    """A rollout that takes the leader last, asked before each batch."""
    rollout = Rollout(
        batches=(Batch(Share(1)),),
        order_by="${{ steps.role.outputs.role == 'leader' ? 1 : 0 }}",
        refresh=(leaf("role", "h1", "h2", "h3", effect=Effect.READ),),
        max_failures=Share(0),
    )
    return rollout, [leaf("patch")]


def test_the_order_is_asked_anew_before_each_batch() -> None:
    rollout, steps = ordered()
    run = Run(plan(group("g", ["h1", "h2", "h3"], steps, rollout=rollout)), world=FakeWorld(["h1", "h2", "h3"]))
    assert run.open() == ["g/role@h1", "g/role@h2", "g/role@h3"]
    _roles(run, h1="leader", h2="replica", h3="replica")
    assert run.open() == ["g/patch@h2"]
    run.end("g/patch@h2")
    assert run.open() == ["g/role@h1", "g/role@h3"], "only those that have not begun"
    _roles(run, h1="replica", h3="leader")
    assert run.open() == ["g/patch@h1"]
    run.end("g/patch@h1")
    _roles(run, h3="leader")
    run.end("g/patch@h3")
    assert run.status == "completed"
    run.refold()


def test_an_order_that_cannot_be_asked_ends_the_rollout() -> None:
    rollout, steps = ordered()
    run = Run(plan(group("g", ["h1", "h2", "h3"], steps, rollout=rollout)), world=FakeWorld(["h1", "h2", "h3"]))
    run.end("g/role@h1", outputs={"role": "leader"})
    run.fail("g/role@h2", error="no such cluster")
    run.end("g/role@h3", outputs={"role": "replica"})
    assert run.status == "failed"
    assert "refresh: g/role on h2 failed: no such cluster" in run.state.reason


def test_an_order_without_a_value_ends_the_rollout() -> None:
    rollout, steps = ordered()
    run = Run(plan(group("g", ["h1", "h2", "h3"], steps, rollout=rollout)), world=FakeWorld(["h1", "h2", "h3"]))
    for host in ("h1", "h2", "h3"):
        run.end(f"g/role@{host}", outputs={})
    assert run.status == "failed"
    assert "order_by on h1" in run.state.reason


def test_an_order_by_facts_needs_nothing_asked() -> None:
    world = FakeWorld(["h1", "h2", "h3"])
    for host, load in (("h1", 5), ("h2", 1), ("h3", 5)):
        world.hosts[host] = {"name": host, "facts": {"load": load}}
    rollout = Rollout(max_parallel=Share(1), order_by="${{ host.facts.load }}")
    run = Run(plan(leaf("a", "h3", "h1", "h2", rollout=rollout)), world=world)
    order = []
    while run.state.open:
        order += run.open()
        run.end(run.open()[0])
    assert order == ["a@h2", "a@h1", "a@h3"], "ties by name"


def test_a_cancel_while_the_order_is_asked() -> None:
    rollout, steps = ordered()
    run = Run(plan(group("g", ["h1", "h2", "h3"], steps, rollout=rollout, on_failure=OnFailure.ROLLBACK)))
    run.give(i.CancelRequested("anna"))
    for host in ("h1", "h2", "h3"):
        run.end(f"g/role@{host}", Outcome.CANCELLED)
    assert run.status == "cancelled"
    run.refold()
