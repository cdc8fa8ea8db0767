"""Batches, window, failures over the whole rollout, gates and waits between batches."""

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.errors import Refused
from pilotage_coordinator.domain.fleet import Outcome
from pilotage_coordinator.domain.plan import Batch, HostsFrom, OnFailure, Rollout, RolloutFailure
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine.due import next_wakeup

from tests.unit.engine.build import SECOND, FakeWorld, Run, group, leaf, plan

HOSTS = [f"h{number}" for number in range(10)]


def test_the_window_slides() -> None:
    run = Run(plan(leaf("a", *HOSTS, rollout=Rollout(max_parallel=Share(3)))))
    assert run.open() == ["a@h0", "a@h1", "a@h2"]
    run.end("a@h1")
    assert run.open() == ["a@h0", "a@h2", "a@h3"]
    run.finish()
    assert run.status == "completed"


def test_shares_are_of_the_hosts_that_opened() -> None:
    run = Run(plan(leaf("a", *HOSTS, rollout=Rollout(max_parallel=Share(25, percent=True)))))
    assert len(run.open()) == 3


def test_batches_wait_for_each_other_and_the_last_repeats() -> None:
    batches = (Batch(Share(1)), Batch(Share(4)))
    run = Run(plan(leaf("a", *HOSTS, rollout=Rollout(batches=batches))))
    sizes = []
    while run.state.open:
        sizes.append(len(run.open()))
        for name in run.open():
            run.end(name)
    assert sizes == [1, 4, 4, 1]
    assert run.status == "completed"


def test_a_wait_after_a_batch() -> None:
    run = Run(plan(leaf("a", "h1", "h2", rollout=Rollout(batches=(Batch(Share(1), wait=60 * SECOND),)))))
    run.end("a@h1")
    assert run.open() == []
    assert run.status == "running"
    assert next_wakeup(run.state) == run.now + 60 * SECOND
    run.wait(60 * SECOND)
    assert run.open() == ["a@h2"]
    run.end("a@h2")
    assert run.status == "completed"


def test_a_gate_after_a_batch() -> None:
    run = Run(plan(leaf("a", "h1", "h2", rollout=Rollout(batches=(Batch(Share(1), gate="look"),)))))
    run.end("a@h1")
    assert run.status == "waiting_approval"
    assert list(run.state.gates) == ["look#1"]
    with pytest.raises(Refused, match="look#1"):
        run.give(i.GateReleased("look", "anna"))
    run.give(i.GateReleased("look#1", "anna"))
    assert run.open() == ["a@h2"]
    run.finish()


def test_a_gate_and_a_wait_need_both() -> None:
    batch = Batch(Share(1), wait=60 * SECOND, gate="look")
    run = Run(plan(leaf("a", "h1", "h2", rollout=Rollout(batches=(batch,)))))
    run.end("a@h1")
    run.wait(60 * SECOND)
    assert run.status == "waiting_approval"
    run.give(i.GateReleased("look#1", "anna"))
    assert run.open() == ["a@h2"]

    run = Run(plan(leaf("a", "h1", "h2", rollout=Rollout(batches=(batch,)))))
    run.end("a@h1")
    run.give(i.GateReleased("look#1", "anna"))
    assert run.open() == []
    run.wait(60 * SECOND)
    assert run.open() == ["a@h2"]
    run.refold()


def test_a_denied_gate_ends_the_rollout_and_the_step_fails() -> None:
    run = Run(plan(leaf("a", "h1", "h2", rollout=Rollout(batches=(Batch(Share(1), gate="look"),)))))
    run.end("a@h1")
    run.give(i.GateReleased("look#1", "anna", "denied", "not today"))
    assert run.status == "failed"
    assert "denied by anna: not today" in run.state.reason
    assert run.statuses("a") == {"h1": "succeeded", "h2": "not_run"}
    run.refold()


def test_max_failures_absorbs_as_many() -> None:
    rollout = Rollout(max_parallel=Share(1), max_failures=Share(20, percent=True))
    run = Run(plan(leaf("a", *HOSTS, rollout=rollout), leaf("b", *HOSTS, after=["a"])))
    run.fail("a@h0")
    run.fail("a@h1")
    for host in HOSTS[2:]:
        run.end(f"a@{host}")
    assert run.open() == [f"b@{host}" for host in HOSTS[2:]]
    run.finish()
    assert run.status == "completed"
    assert run.state.warnings


def test_max_failures_exceeded_ends_the_rollout() -> None:
    run = Run(plan(leaf("a", *HOSTS, rollout=Rollout(max_parallel=Share(2), max_failures=Share(1)))))
    run.fail("a@h0")
    run.fail("a@h1")
    assert run.open() == ["a@h2"]
    run.end("a@h2")
    assert run.status == "failed"
    assert run.run("a@h9").status == "not_run"
    run.refold()


def test_an_unknown_host_counts_as_a_failure_until_it_is_resolved() -> None:
    run = Run(plan(leaf("a", *HOSTS[:4], rollout=Rollout(max_parallel=Share(1), max_failures=Share(0)))))
    run.end("a@h0", Outcome.INTERRUPTED)
    assert run.open() == []
    assert run.status == "needs_attention"
    run.give(i.UnknownResolved(run.run("a@h0").key, "succeeded", "anna"))
    assert run.open() == ["a@h1"]
    run.finish()
    assert run.status == "completed"


def test_an_unknown_host_does_not_stop_healthy_ones() -> None:
    run = Run(plan(leaf("a", *HOSTS[:3], rollout=Rollout(batches=(Batch(Share(1)),), max_failures=Share(1)))))
    run.end("a@h0", Outcome.INTERRUPTED)
    assert run.open() == ["a@h1"]
    run.end("a@h1")
    run.end("a@h2")
    assert run.status == "needs_attention"
    run.give(i.UnknownResolved(run.run("a@h0").key, "failed", "anna"))
    assert run.status == "completed"
    assert run.state.warnings
    run.refold()


@pytest.mark.parametrize(
    ("mode", "undone"),
    [
        (RolloutFailure.REVERT_HOST, ["undo g/a@h3"]),
        (RolloutFailure.REVERT_BATCH, ["undo g/a@h2", "undo g/a@h3"]),
        (RolloutFailure.REVERT_ALL, ["undo g/a@h0", "undo g/a@h1", "undo g/a@h2", "undo g/a@h3"]),
    ],
)
def test_reverting_a_rollout(mode: RolloutFailure, undone: list[str]) -> None:
    rollout = Rollout(batches=(Batch(Share(2)),), max_failures=Share(0), on_failure=mode)
    steps = [leaf("a"), leaf("b", after=["a"])]
    run = Run(plan(group("g", HOSTS[:6], steps, rollout=rollout)))
    for host in ("h0", "h1"):
        run.end(f"g/a@{host}")
        run.end(f"g/b@{host}")
    run.end("g/a@h2")
    run.end("g/a@h3")
    run.fail("g/b@h3")
    assert run.open() == ["g/b@h2"]
    run.fail("g/b@h2")
    if mode is RolloutFailure.REVERT_HOST:
        undone = ["undo g/a@h2", "undo g/a@h3"]
    if mode is RolloutFailure.REVERT_ALL:
        assert run.open() == ["undo g/a@h2", "undo g/a@h3", "undo g/b@h0", "undo g/b@h1"]
        run.end("g/b@h0")
        run.end("g/b@h1")
        run.end("g/a@h2")
        run.end("g/a@h3")
        undone = ["undo g/a@h0", "undo g/a@h1"]
    assert run.open() == undone
    run.finish()
    assert run.status == "failed"
    assert run.run("g/a@h3").status == "compensated"
    assert run.run("g@h5").status == "not_run"


def test_hosts_from_a_step() -> None:
    source = leaf("a", *HOSTS[:4], on_failure=OnFailure.CONTINUE)
    picked = leaf("b", after=["a"], hosts_from=HostsFrom("a", exclude=("h1",), limit=Share(50, percent=True)))
    run = Run(plan(source, picked))
    run.fail("a@h0")
    for host in HOSTS[1:4]:
        run.end(f"a@{host}")
    assert run.open() == ["b@h2"]
    run.finish()


def test_hosts_from_in_random_order_is_the_same_in_every_run() -> None:
    orders = set()
    for _ in range(3):
        picked = leaf("b", after=["a"], hosts_from=HostsFrom("a", order="random", limit=Share(1)))
        run = Run(plan(leaf("a", *HOSTS), picked))
        for host in HOSTS:
            run.end(f"a@{host}")
        orders.add(tuple(run.open()))
    assert len(orders) == 1


def test_hosts_from_nothing_completes() -> None:
    picked = leaf("b", after=["a"], hosts_from=HostsFrom("a"))
    run = Run(plan(leaf("a", "h1", on_failure=OnFailure.CONTINUE), picked))
    run.fail("a@h1")
    assert run.status == "completed"


def test_when_is_asked_for_each_host() -> None:
    world = FakeWorld(HOSTS[:3])
    world.hosts["h1"] = {"name": "h1", "labels": {"role": "db"}}
    run = Run(
        plan(leaf("a", *HOSTS[:3], when="has(host.labels.role)"), leaf("b", *HOSTS[:3], after=["a"])), world=world
    )
    assert run.open() == ["a@h1"]
    assert run.statuses("a") == {"h0": "skipped", "h1": "assigned", "h2": "skipped"}
    run.end("a@h1")
    assert run.open() == ["b@h0", "b@h1", "b@h2"]


def test_an_error_in_when_fails_the_host() -> None:
    run = Run(plan(leaf("a", "h1", when="host.labels.nothing == 1")), world=FakeWorld(["h1"]))
    assert run.status == "failed"
    assert run.run("a@h1").failure_kind == "parameter"


def test_gates_of_the_same_name_are_released_one_by_one() -> None:
    rollout = Rollout(batches=(Batch(Share(1), gate="look"),))
    run = Run(plan(leaf("a", "h1", "h2", rollout=rollout), leaf("b", "h1", "h2", rollout=rollout)))
    run.end("a@h1")
    run.end("b@h1")
    assert sorted(run.state.gates) == ["look#1", "look#1 (b)"]
    run.give(i.GateReleased("look#1", "anna"))
    assert run.open() == ["a@h2"]
    run.give(i.GateReleased("look#1 (b)", "anna"))
    assert run.open() == ["a@h2", "b@h2"]
    run.finish()


def test_a_restart_opens_no_gate() -> None:
    run = Run(plan(leaf("a", "h1", "h2", rollout=Rollout(batches=(Batch(Share(1), gate="look"),)))))
    run.end("a@h1")
    assert run.give(i.Recovered()).events == ()


def test_a_cancel_closes_what_stands_between_batches() -> None:
    batch = Batch(Share(1), wait=60 * SECOND, gate="look")
    run = Run(plan(leaf("a", "h1", "h2", rollout=Rollout(batches=(batch,)))))
    run.end("a@h1")
    run.give(i.CancelRequested("anna"))
    assert run.status == "cancelled"
    assert not run.state.gates
    assert run.state.timers.first() is None


def test_hosts_from_a_loop_are_those_where_all_items_succeeded() -> None:
    for failing, order in (("x", ["x", "y"]), ("y", ["x", "y"])):
        source = leaf("a", "h1", "h2", for_each="${{ ['x', 'y'] }}", on_failure=OnFailure.CONTINUE)
        run = Run(plan(source, leaf("b", after=["a"], hosts_from=HostsFrom("a"))))
        for item in order:
            run.end(f"a@h2#{item}")
            run.fail(f"a@h1#{item}") if item == failing else run.end(f"a@h1#{item}")
        assert run.open() == ["b@h2"]
