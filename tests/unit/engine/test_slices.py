"""What a large plan makes possible at once is started in slices: a bounded decision, a commit, and the next one."""

from collections.abc import Callable

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.events import AttemptPlanned
from pilotage_coordinator.domain.plan import Plan, Rollout
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND, FakeWorld, Run, group, leaf, plan

HOSTS = [f"h{number}" for number in range(30)]


def _steps() -> Plan:
    return plan(*(leaf(f"s{number}", *HOSTS[:3]) for number in range(20)))


def _fan() -> Plan:
    return plan(leaf("a", *HOSTS))


def _items() -> Plan:
    return plan(leaf("a", "h1", for_each="${{ range(0, 30) }}", key="${{ string(item) }}"))


def _group() -> Plan:
    return plan(group("g", HOSTS, [leaf("a"), leaf("b")], rollout=Rollout(max_parallel=Share(10))))


@pytest.mark.parametrize("make", [_steps, _fan, _items, _group])
@pytest.mark.parametrize("most", [1, 7])
@pytest.mark.parametrize("kept", [True, False])
def test_slices_come_to_what_one_decision_comes_to(make: Callable[[], Plan], most: int, kept: bool) -> None:
    whole, sliced = Run(make()), Run(make(), begin=False)
    sliced.most = most
    reaction = sliced.give(i.Begin("seed", "anna"))
    count = 1
    while reaction.left:
        planned = [event for event in reaction.events if isinstance(event, AttemptPlanned)]
        assert len(planned) <= most
        assert sliced.status == "running"
        lost = count == 2 and not kept
        if lost:
            sliced.left = ()
        reaction = sliced.give(i.Continue(anew=lost))
        count += 1
        assert count < 1_000
    assert count > 2
    assert sliced.open() == whole.open()
    sliced.refold()
    sliced.most = 0
    sliced.finish()
    assert sliced.status == "completed"


def test_a_pause_between_slices_starts_nothing_more_and_the_resume_finds_the_rest() -> None:
    run = Run(_fan(), begin=False)
    run.most = 6
    run.give(i.Begin("seed", "anna"))
    begun = run.open()
    assert run.left
    run.give(i.PauseRequested("anna"))
    assert run.left == ()
    assert run.open() == begun
    run.give(i.ResumeRequested("anna"))
    while run.left:
        run.give(i.Continue())
    assert len(run.open()) == len(HOSTS)


def test_a_cancel_between_slices_starts_nothing_more() -> None:
    run = Run(_steps(), begin=False)
    run.most = 6
    run.give(i.Begin("seed", "anna"))
    begun = run.open()
    run.give(i.CancelRequested("anna"))
    while run.left:
        run.give(i.Continue())
    assert run.open() == begun
    run.finish()
    assert run.status == "cancelled"
    assert run.left == ()


def test_what_waited_for_a_host_goes_on_in_slices_too() -> None:
    world = FakeWorld()
    world.offline.add("h1")
    run = Run(plan(*(leaf(f"s{number:02}", "h1") for number in range(20))), world=world)
    assert run.open() == []
    world.offline.clear()
    run.most = 5
    run.give(i.HostChanged("h1"))
    assert 0 < len(run.open()) < 10
    while run.left:
        run.give(i.Continue())
    assert len(run.open()) == 20


def test_compensations_are_begun_in_slices() -> None:
    run = Run(plan(leaf("a", *HOSTS), leaf("b", "h1", after=["a"])))
    for host in HOSTS:
        run.end(f"a@{host}")
    run.give(i.RollbackRequested("anna"))
    run.end("b@h1")
    run.most = 5
    run.end("b@h1")
    assert 0 < len(run.open()) < 10
    while run.left:
        run.give(i.Continue())
    assert len(run.open()) == len(HOSTS)


def test_a_time_that_has_come_is_not_forgotten_behind_a_full_slice() -> None:
    run = Run(plan(*(leaf(f"s{number}", "h1", deadline=10 * SECOND) for number in range(20))))
    run.most = 1
    run.now += 10 * SECOND
    cancelled = 0
    for _ in range(20):
        assert run.give(i.Tick()).events
        cancelled = len(run.state.cancels)
    assert cancelled == 20
