"""One result costs the same in a fleet of ten and of a thousand: counted in things looked at, not in time."""

import pytest
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.events import AttemptPlanned
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import Plan, Rollout
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine.decide import react
from pilotage_coordinator.engine.due import due_after
from pilotage_proto.attempt import AttemptKey

from tests.unit.engine.build import START, FakeWorld, group, leaf, plan


def _group(hosts: list[str]) -> Plan:
    steps = [leaf("a"), leaf("b", after=["a"]), leaf("c", after=["b"])]
    return plan(group("g", hosts, steps, rollout=Rollout(max_parallel=Share(10))))


def _costs(plan: Plan) -> tuple[list[int], int]:
    """Return what each result cost, and how many events the whole execution has."""
    world = FakeWorld()
    reaction = react(ExecutionState.new("exe_1", plan), i.Begin("seed", "anna"), START, world)
    waiting = [event for event in reaction.events if isinstance(event, AttemptPlanned)]
    events = len(reaction.events)
    costs: list[int] = []
    while waiting:
        event = waiting.pop()
        key = AttemptKey("exe_1", event.path, event.host, event.item, event.kind, event.attempt)
        report = AttemptReport(key, 1, Outcome.SUCCEEDED, started_at=START, ended_at=START)
        reaction = react(reaction.state, i.AttemptEnded(report), START, world)
        assert len(due_after(reaction.state, reaction.events).assign) <= len(reaction.events)
        waiting += [each for each in reaction.events if isinstance(each, AttemptPlanned)]
        costs.append(reaction.steps)
        events += len(reaction.events)
    assert reaction.state.terminal
    return costs, events


@pytest.mark.parametrize("count", [10, 100, 1_000])
def test_a_result_in_a_group_costs_the_same_in_any_fleet(count: int) -> None:
    costs, events = _costs(_group([f"h{number}" for number in range(count)]))
    assert max(costs) <= 8
    assert events <= 3 * count * 2 + count + 10


def test_a_step_over_a_fleet_costs_one_look_a_host_once() -> None:
    hosts = [f"h{number}" for number in range(1_000)]
    costs, _ = _costs(plan(leaf("a", *hosts), leaf("b", *hosts, after=["a"])))
    assert sum(cost > 8 for cost in costs) == 1
    assert sum(costs) <= 8 * len(costs)
