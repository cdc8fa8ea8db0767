"""What an interrupted attempt left half done: put in order before its end is told, however often the agent dies."""

import asyncio
import json
from typing import Any

import pytest
from pilotage_agent.journal_record import entry_from_json, entry_to_json
from pilotage_agent.ledger import AskProbe, Entry, Recover, Recovered, Settle, interrupted, judge_lost, judge_recovery
from pilotage_agent.messages import Cancel, Effect, EntryState, Outcome, Result
from pilotage_proto.attempt import AttemptKey, AttemptKind

from tests.unit.agent.world import Host, World, assignment, key

BEGUN = (Effect.IDEMPOTENT, Effect.PROBE, Effect.ONCE)


def recovering(**more: Any) -> World:
    return World(recovering=True, probe_answer={"answer": "not_done", "evidence": "nothing there"}, **more)


async def started(host: Host, of: AttemptKey, effect: Effect = Effect.PROBE) -> None:
    host.attempts.assign(assignment(of, effect))
    await host.settle()


def evidence(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.evidence)
    return found


@pytest.mark.parametrize("effect", BEGUN)
async def test_a_vanished_attempt_is_put_in_order_before_its_end_is_told(effect: Effect) -> None:
    world = recovering()
    world.recovery = asyncio.get_running_loop().create_future()
    host = await Host(world).recover()
    await started(host, key(), effect)
    world.crash(key())
    await host.settle()
    assert key() not in host.results
    assert [entry.state for entry in host.journal.entries()] == [EntryState.STARTED]
    world.recovery.set_result(Recovered(True, "unpaused web"))
    await host.settle()
    assert host.last(key()).outcome is Outcome.INTERRUPTED
    assert (evidence(host.last(key()))["recovery"], evidence(host.last(key()))["recovery_evidence"]) == (
        "done",
        "unpaused web",
    )
    assert not world.mess


async def test_the_probe_is_asked_after_the_recovery() -> None:
    world = recovering()
    host = await Host(world).recover()
    await started(host, key())
    world.crash(key())
    await host.settle()
    assert evidence(host.last(key()))["probe"] == "not_done"
    assert world.recoveries == [key()]


async def test_what_is_done_is_done_after_a_recovery_too() -> None:
    world = World(recovering=True, probe_answer={"answer": "done", "outputs": {"id": 7}})
    host = await Host(world).recover()
    await started(host, key())
    world.crash(key())
    await host.settle()
    assert (host.last(key()).outcome, json.loads(host.last(key()).outputs)) == (Outcome.SUCCEEDED, {"id": 7})
    assert world.recoveries == [key()]


@pytest.mark.parametrize("effect", BEGUN)
async def test_a_recovery_that_failed_is_never_called_anything_else(effect: Effect) -> None:
    world = World(recovering=True, probe_answer={"answer": "done"})
    world.recovery = asyncio.get_running_loop().create_future()
    world.recovery.set_result(Recovered(False, "there is no Docker socket"))
    host = await Host(world).recover()
    await started(host, key(), effect)
    host.attempts.cancel(Cancel(key(), 1, "never mind"))
    world.kill(key())
    await host.settle()
    told = host.last(key())
    assert told.outcome is Outcome.INTERRUPTED
    assert evidence(told)["recovery"] == "failed"
    assert "probe" not in evidence(told)
    assert "there is no Docker socket" in told.error


async def test_an_attempt_that_was_killed_after_a_cancel_is_put_in_order_and_cancelled() -> None:
    world = recovering()
    host = await Host(world).recover()
    await started(host, key())
    world.kill(key())
    await host.settle()
    assert (host.last(key()).outcome, world.recoveries) == (Outcome.CANCELLED, [key()])


@pytest.mark.parametrize("effect", BEGUN)
async def test_a_crash_of_the_agent_during_a_recovery_repeats_it(effect: Effect) -> None:
    world = recovering()
    world.recovery = asyncio.get_running_loop().create_future()
    host = await Host(world).recover()
    await started(host, key(), effect)
    world.crash(key())
    await host.settle()
    host = await host.crash()
    await host.settle()
    assert key() not in host.results
    world.recovery.set_result(Recovered(True, ""))
    await host.settle()
    assert world.recoveries == [key(), key()]
    assert host.last(key()).outcome is Outcome.INTERRUPTED


async def test_an_end_that_the_step_told_itself_needs_no_recovery() -> None:
    world = recovering()
    host = await Host(world).recover()
    for number, outcome in enumerate((Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED), 1):
        await started(host, key(number))
        world.finish(key(number), outcome)
        await host.settle()
        assert host.last(key(number)).outcome is outcome
    assert world.recoveries == []


async def test_what_never_began_needs_no_recovery() -> None:
    world = recovering()
    host = await Host(world).recover()
    await started(host, key())
    del world.processes[key()]
    host = await host.crash()
    await host.settle()
    assert (host.last(key()).outcome, world.recoveries) == (Outcome.DECLINED, [])


async def test_step_types_without_a_recovery_go_on_as_before() -> None:
    world = World()
    host = await Host(world).recover()
    await started(host, key(), Effect.IDEMPOTENT)
    world.crash(key())
    await host.settle()
    assert (host.last(key()).outcome, world.recoveries) == (Outcome.INTERRUPTED, [])
    assert "recovery" not in evidence(host.last(key()))


async def test_the_start_of_what_recovers_is_durable_before_it_begins() -> None:
    world = recovering()
    host = await Host(world).recover()
    await started(host, key(), Effect.IDEMPOTENT)
    (stored,) = world.store.load().entries
    assert (stored.state, stored.recovers, stored.assignment is not None) == (EntryState.STARTED, True, True)


def entry(**more: Any) -> Entry:
    values = {"key": key(), "state": EntryState.STARTED, "epoch": 1, "effect": Effect.PROBE, "step_type": "test.step"}
    return Entry(**{**values, "started_at": 3, "recovers": True, "assignment": assignment(key(), Effect.PROBE), **more})


def test_an_undo_is_repeated_and_not_recovered() -> None:
    undo = AttemptKey("exe_1", "step1", "h1", "", AttemptKind.UNDO, 1)
    assert isinstance(judge_lost(entry(key=undo), "gone", 5), Settle)


def test_without_the_parameters_nothing_is_called_in_order() -> None:
    verdict = judge_lost(entry(assignment=None), "gone", 5)
    assert isinstance(verdict, Settle)
    assert json.loads(verdict.result.evidence)["recovery"] == "failed"


def test_the_evidence_of_a_failed_recovery_is_kept_however_much_it_says() -> None:
    verdict = Recover("€" * 10_000, AskProbe("gone"))
    judged = judge_recovery(entry(), verdict, Recovered(False, "€" * 100_000), 5)
    assert isinstance(judged, Settle)
    assert json.loads(judged.result.evidence)["recovery"] == "failed"


def test_the_journal_keeps_what_a_recovery_needs() -> None:
    kept = entry_from_json(entry_to_json(entry(effect=Effect.IDEMPOTENT)))
    assert kept.assignment == entry().assignment
    assert kept.recovers
    ended = entry(state=EntryState.EXITED, result=interrupted(entry(), {}, 5))
    assert entry_from_json(entry_to_json(ended)).assignment is None


def test_a_record_of_an_older_agent_is_read() -> None:
    record = json.loads(entry_to_json(entry()))
    del record["recovers"]
    assert not entry_from_json(json.dumps(record)).recovers
