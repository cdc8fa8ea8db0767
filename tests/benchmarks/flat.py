"""What one step costs the coordinator in executions over few and over many hosts: decide, project, store."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.events import AttemptPlanned, Event
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.fleet import AttemptReport, Outcome
from pilotage_coordinator.domain.plan import Json, Plan, Rollout
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.engine.decide import react
from pilotage_coordinator.engine.due import due_after
from pilotage_coordinator.runtime.projection import Extra, Happened, Position, project
from pilotage_coordinator.store.records import ExecutionCreation, ExecutionInputs, ExecutionRecord, PlanRecord, Progress
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_store
from pilotage_proto.attempt import AttemptKey

from tests.benchmarks.figure import Figure, Report
from tests.unit.engine.build import START, FakeWorld, group, leaf, plan

HOSTS = (10, 100, 1_000)
RESULTS = 5_000
"""How many results are measured for each number of hosts, at least."""
OUTPUTS: Mapping[str, Json] = {"changed": True, "bytes": 123_456, "snapshot": "4f2a91c0"}


async def measure(folder: Path, quick: bool = False) -> Report:
    """Run one execution over each number of hosts, as fast as it goes, and take the CPU time of this process."""
    figures: list[Figure] = []
    store = await open_store(_made(folder / "flat") / "flat.db", now=START, new_id=lambda prefix: f"{prefix}_1")
    try:
        base = 0.0
        for hosts in HOSTS:
            steps = max(2, RESULTS // (5 if quick else 1) // hosts)
            decided, stored = await _run(store, hosts, steps)
            base = base or decided + stored
            note = f"{(decided + stored) / base:.2f} of the cost at {HOSTS[0]} hosts; {hosts * steps} results"
            figures.append(Figure(f"{hosts} hosts: decide and evolve", decided, "µs/step"))
            figures.append(
                Figure(f"{hosts} hosts: and project, store", decided + stored, "µs/step", None, "flat", note)
            )
    finally:
        await store.close()
    return Report("flat", "Cost of a step by the size of its execution (CPU of one core, one result a commit)", figures)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _plan(hosts: Sequence[str], steps: int) -> Plan:
    chain = [leaf(f"s{number}", after=[f"s{number - 1}"] if number else []) for number in range(steps)]
    return plan(group("g", hosts, chain, rollout=Rollout(max_parallel=Share(50))))


async def _run(store: SqliteStore, hosts: int, steps: int) -> tuple[float, float]:
    """Return microseconds a result, for deciding and for what follows."""
    execution = f"exe_{hosts}"
    what = _plan([f"h{number:04}" for number in range(hosts)], steps)
    await store.plans.put(PlanRecord(f"sha256:{hosts}", {}, {}, START))
    record = ExecutionRecord(execution, "b", "1.0.0", f"sha256:{hosts}", "anna", START, Progress("pending"))
    await store.executions.create(ExecutionCreation(record, ExecutionInputs()))
    world, state, position = FakeWorld(), ExecutionState.new(execution, what), Position()
    waiting: deque[AttemptPlanned] = deque()
    next_input: i.Input = i.Begin("seed", "anna")
    decided = stored = 0.0
    results = 0
    while True:
        began = time.process_time()
        reaction = react(state, next_input, START, world)
        todo = due_after(reaction.state, reaction.events)
        middle = time.process_time()
        happened = Happened(START, reaction.events, reaction.touched)
        change, position = project(state, reaction.state, happened, position, Extra(1))
        await store.executions.commit(change)
        if results:
            decided += middle - began
            stored += time.process_time() - middle
        state = reaction.state
        waiting += _planned(reaction.events)
        assert len(todo.assign) <= len(reaction.events)
        if not waiting:
            break
        event = waiting.popleft()
        key = AttemptKey(execution, event.path, event.host, event.item, event.kind, event.attempt)
        next_input = i.AttemptEnded(
            AttemptReport(key, 1, Outcome.SUCCEEDED, outputs=OUTPUTS, started_at=START, ended_at=START)
        )
        results += 1
    assert state.terminal
    return decided / results * 1e6, stored / results * 1e6


def _planned(events: Sequence[Event]) -> list[AttemptPlanned]:
    return [event for event in events if isinstance(event, AttemptPlanned)]
