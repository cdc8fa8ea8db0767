"""The attempts of a host, whatever is redelivered, cancelled or crashed: started at most once, and always answered."""

import asyncio
import errno
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pilotage_agent.attempts import MOST_QUERIES, QUERIES_AT_ONCE
from pilotage_agent.errors import JournalUnwritable, WorkerLost
from pilotage_agent.journal_store import Transaction
from pilotage_agent.ledger import Entry
from pilotage_agent.messages import (
    Assignment,
    Cancel,
    Effect,
    EntryState,
    FailureKind,
    Outcome,
    Query,
    QueryAnswer,
    QueryPurpose,
    ResultAck,
)
from pilotage_proto.attempt import AttemptKey

from tests.unit.agent.world import Host, World, assignment, key


async def started(host: Host, of: AttemptKey, effect: Effect = Effect.ONCE) -> None:
    host.attempts.assign(assignment(of, effect))
    await host.settle()


async def test_an_assignment_runs_and_is_forgotten_after_its_ack() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    assert host.world.starts == {key(): 1}
    assert host.attempts.running == 1
    host.world.finish(key())
    await host.settle()
    assert host.last(key()).outcome is Outcome.SUCCEEDED
    host.attempts.acknowledge(ResultAck(key()))
    assert len(host.journal) == 0


@pytest.mark.parametrize("effect", list(Effect))
async def test_a_redelivery_does_not_start_again(effect: Effect) -> None:
    host = await Host(World()).recover()
    for _ in range(3):
        await started(host, key(), effect)
    host.world.finish(key())
    await host.settle()
    await started(host, key(), effect)
    assert host.world.starts == {key(): 1}
    assert [one.outcome for one in host.results[key()]] == [Outcome.SUCCEEDED] * 2


async def test_a_redelivery_after_the_ack_is_interrupted_with_what_is_known() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.world.finish(key())
    await host.settle()
    host.attempts.acknowledge(ResultAck(key()))
    await host.journal.flush()
    host = await host.crash()
    await started(host, key())
    assert host.world.starts == {key(): 1}
    assert host.last(key()).outcome is Outcome.INTERRUPTED
    assert json.loads(host.last(key()).evidence)["settled_outcome"] == "succeeded"


async def test_an_older_attempt_than_one_that_is_known_is_not_started() -> None:
    host = await Host(World()).recover()
    await started(host, key(attempt=2))
    await started(host, key(attempt=1))
    assert host.world.starts == {key(attempt=2): 1}
    assert host.last(key(attempt=1)).outcome is Outcome.INTERRUPTED


async def test_a_cancel_of_an_attempt_that_is_behind_gets_the_same_answer() -> None:
    host = await Host(World()).recover()
    await started(host, key(attempt=2))
    await started(host, key(attempt=1))
    host.attempts.cancel(Cancel(key(attempt=1), 1, "never mind"))
    await host.settle()
    assert len({one.digest for one in host.results[key(attempt=1)]}) == 1


async def test_an_epoch_below_the_highest_is_declined_and_not_remembered() -> None:
    host = await Host(World()).recover()
    host.journal.see_epoch(5)
    host.attempts.assign(assignment(key(), epoch=4))
    await host.settle()
    assert host.last(key()).outcome is Outcome.DECLINED
    host.attempts.assign(assignment(key(), epoch=5))
    await host.settle()
    assert host.world.starts == {key(): 1}


async def test_an_old_epochs_redelivery_of_what_runs_is_told_so_and_adopts_nothing() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.journal.see_epoch(2)
    host.attempts.assign(assignment(key(), epoch=2))
    await host.settle()
    await started(host, key())
    assert key() not in host.results
    host.world.finish(key())
    await host.settle()
    await started(host, key())
    assert [(one.outcome, one.epoch) for one in host.results[key()]] == [(Outcome.SUCCEEDED, 2)] * 2
    assert host.world.starts == {key(): 1}


async def test_an_old_epochs_redelivery_of_what_was_acknowledged_is_not_called_unbegun() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.world.finish(key())
    await host.settle()
    host.attempts.acknowledge(ResultAck(key()))
    host.journal.see_epoch(2)
    await started(host, key())
    assert host.last(key()).outcome is Outcome.INTERRUPTED
    assert host.world.starts == {key(): 1}


async def test_an_old_epoch_does_not_take_up_what_a_former_process_accepted() -> None:
    host = await Host(World()).recover()
    host.journal.note(Entry(key=key(), state=EntryState.ACCEPTED, epoch=1, effect=Effect.ONCE, step_type="dummy.run"))
    host.journal.see_epoch(2)
    await started(host, key())
    assert key() not in host.results
    host.attempts.assign(assignment(key(), epoch=2))
    await host.settle()
    assert host.world.starts == {key(): 1}


async def test_a_newer_coordinators_redelivery_gets_the_result_under_its_epoch() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.journal.see_epoch(2)
    host.attempts.assign(assignment(key(), epoch=2))
    host.world.finish(key())
    await host.settle()
    assert host.last(key()).epoch == 2
    host.journal.see_epoch(3)
    host.attempts.assign(assignment(key(), epoch=3))
    await host.settle()
    assert host.last(key()).epoch == 3


async def test_a_cancel_of_an_unseen_key_keeps_a_late_assignment_from_starting_also_after_a_crash() -> None:
    host = await Host(World()).recover()
    host.attempts.cancel(Cancel(key(), 1, "changed my mind"))
    await host.settle()
    assert host.last(key()).outcome is Outcome.CANCELLED
    assert host.last(key()).started_at == 0
    host = await host.crash()
    await started(host, key())
    assert host.world.starts == {}
    assert host.last(key()).outcome is Outcome.CANCELLED


async def test_a_cancel_stops_what_runs() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.attempts.cancel(Cancel(key(), 1, "enough"))
    await host.settle()
    assert host.world.processes[key()].stopped
    assert host.last(key()).outcome is Outcome.CANCELLED
    assert host.last(key()).started_at > 0


async def test_a_cancel_that_is_sent_again_gives_its_epoch_to_the_result() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.journal.see_epoch(4)
    host.attempts.cancel(Cancel(key(), 3, "of a coordinator that is gone"))
    host.attempts.cancel(Cancel(key(), 4, "of the one that is there now"))
    await host.settle()
    assert (host.last(key()).outcome, host.last(key()).epoch) == (Outcome.CANCELLED, 4)
    host.journal.see_epoch(5)
    host.attempts.cancel(Cancel(key(), 5, "once more"))
    await host.settle()
    assert (host.last(key()).outcome, host.last(key()).epoch) == (Outcome.CANCELLED, 5)


async def test_a_cancel_right_behind_the_assignment_keeps_it_from_starting() -> None:
    host = await Host(World()).recover()
    host.attempts.assign(assignment(key()))
    host.attempts.cancel(Cancel(key(), 1, "at once"))
    await host.settle()
    assert host.world.starts == {}
    assert [one.outcome for one in host.results[key()]] == [Outcome.CANCELLED]


@pytest.mark.parametrize("turns", range(16))
async def test_a_cancel_at_any_moment_gives_one_truth(turns: int) -> None:
    """Whichever await it hits: one outcome, cancelled, and what is said of the start is what happened."""
    host = await Host(World()).recover()
    host.attempts.assign(assignment(key()))
    for _ in range(turns):
        await asyncio.sleep(0)
    host.attempts.cancel(Cancel(key(), 1, "at some time"))
    await host.settle()
    outcomes = {(one.outcome, one.digest) for one in host.results[key()]}
    assert len(outcomes) == 1
    assert host.last(key()).outcome is Outcome.CANCELLED
    assert (host.last(key()).started_at > 0) == (key() in host.world.starts)
    assert all(process.stopped for process in host.world.processes.values())


async def test_what_waits_for_a_slot_can_be_cancelled() -> None:
    host = Host(World(), slots=1)
    await started(host, key(1))
    await started(host, key(2))
    assert host.attempts.waiting == 1
    host.attempts.cancel(Cancel(key(2), 1, ""))
    host.world.finish(key(1))
    await host.settle()
    assert host.world.starts == {key(1): 1}
    assert host.last(key(2)).outcome is Outcome.CANCELLED


async def test_after_a_crash_a_running_step_is_watched_again() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host = await host.crash()
    host.world.finish(key())
    await host.settle()
    assert host.last(key()).outcome is Outcome.SUCCEEDED
    assert host.world.starts == {key(): 1}


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancel_right_after_a_crash_reaches_the_running_step(turns: int) -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host = await host.crash()
    for _ in range(turns):
        await asyncio.sleep(0)
    host.attempts.cancel(Cancel(key(), 1, "stop"))
    await host.settle()
    assert host.last(key()).outcome is Outcome.CANCELLED


async def test_a_read_whose_start_was_never_written_is_known_again_by_its_traces() -> None:
    host = await Host(World()).recover()
    await started(host, key(), Effect.READ)
    assert host.world.store.load().entries == ()
    host = await host.crash()
    await started(host, key(), Effect.READ)
    assert host.world.starts == {key(): 1}


async def test_a_vanished_worker_is_interrupted_with_evidence() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.world.crash(key())
    await host.settle()
    result = host.last(key())
    assert result.outcome is Outcome.INTERRUPTED
    evidence = json.loads(result.evidence)
    assert evidence["cause"] == "it vanished"
    assert evidence["log"] == ["the last line"]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("done", Outcome.SUCCEEDED), ("not_done", Outcome.INTERRUPTED), ("unknown", Outcome.INTERRUPTED)],
)
async def test_a_probe_says_what_became_of_an_interrupted_attempt(answer: str, outcome: Outcome) -> None:
    host = await Host(World()).recover()
    host.world.probe_answer = {"answer": answer, "outputs": {"x": 1}, "evidence": "looked"}
    await started(host, key(), Effect.PROBE)
    host.world.crash(key())
    await host.settle()
    result = host.last(key())
    assert result.outcome is outcome
    assert json.loads(result.evidence)["probe"] == answer
    assert json.loads(result.outputs) == ({"x": 1} if answer == "done" else {})


async def test_a_step_that_never_began_is_declined_after_a_crash() -> None:
    host = await Host(World()).recover()
    await started(host, key())
    host.world.processes.clear()
    host = await host.crash()
    await host.settle()
    result = host.last(key())
    assert (result.outcome, result.failure_kind) == (Outcome.DECLINED, FailureKind.INFRASTRUCTURE)


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (WorkerLost("no process can be had"), "no process can be had"),
        (OSError(errno.EMFILE, "Too many open files"), "not started: [Errno 24] Too many open files"),
    ],
)
async def test_no_worker_means_declined(trouble: Exception, text: str) -> None:
    host = await Host(World(no_workers=trouble)).recover()
    await started(host, key())
    assert host.last(key()).outcome is Outcome.DECLINED
    assert text in host.last(key()).error
    host.world.no_workers = None
    await started(host, key(2))
    assert host.world.starts == {key(2): 1}, "the agent goes on"


async def test_the_local_policy_wins() -> None:
    host = await Host(World()).recover()
    host.policy.denied = (FailureKind.POLICY, "not here")
    await started(host, key())
    assert host.world.starts == {}
    assert (host.last(key()).outcome, host.last(key()).failure_kind) == (Outcome.DECLINED, FailureKind.POLICY)


NO_SPACE = "no space left"


def _full(transaction: Transaction) -> None:
    raise JournalUnwritable(NO_SPACE)


async def test_a_full_disk_declines_before_the_start() -> None:
    host = await Host(World()).recover()
    host.world.store.before_commit = _full
    await started(host, key())
    assert host.world.starts == {}
    assert host.last(key()).outcome is Outcome.DECLINED
    assert "no space left" in host.last(key()).error


async def test_an_end_that_cannot_be_written_is_not_reported_until_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage_agent.attempts.RETRY_SECONDS", 0.0)
    host = await Host(World()).recover()
    await started(host, key())
    host.world.store.before_commit = _full
    host.world.finish(key())
    await host.settle()
    host.attempts.report_unacknowledged()
    host.attempts.assign(assignment(key()))
    await host.settle()
    assert key() not in host.results
    host.world.store.before_commit = lambda transaction: None
    await host.settle()
    assert host.last(key()).outcome is Outcome.SUCCEEDED
    [entry] = host.world.store.load().entries
    assert entry.state is EntryState.EXITED


EVENTS = ("assign", "assign_new_epoch", "cancel", "finish", "vanish", "ack", "crash", "turns", "full", "space")


@settings(max_examples=400)
@given(
    script=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 3), st.integers(1, 2)), max_size=30),
    effect=st.sampled_from([Effect.ONCE, Effect.PROBE]),
    seed=st.integers(0, 2**32),
)
def test_whatever_happens_a_once_key_starts_at_most_once(
    script: list[tuple[str, int, int]], effect: Effect, seed: int
) -> None:
    asyncio.run(_play(script, effect, random.Random(seed)))


async def _play(script: list[tuple[str, int, int]], effect: Effect, chance: random.Random) -> None:
    host = await Host(World()).recover()
    epoch = 1
    told: dict[AttemptKey, set[tuple[Outcome, str]]] = {}
    acknowledged: set[AttemptKey] = set()
    # No coordinator assigns a second attempt before it has heard how the first one ended, nor the first one after that:
    # even then nothing starts twice, but the first may be told of as lost and as declined.
    overtaken = {key(number, 1) for event, number, attempt in script if event.startswith("assign") and attempt == 2}
    for event, number, attempt in script:
        of = key(number, attempt)
        match event:
            case "assign":
                host.attempts.assign(assignment(of, effect, epoch=epoch))
            case "assign_new_epoch":
                epoch += 1
                host.journal.see_epoch(epoch)
                host.attempts.assign(assignment(of, effect, epoch=epoch))
            case "cancel":
                host.attempts.cancel(Cancel(of, epoch, "because"))
            case "finish" if of in host.world.processes:
                host.world.finish(of)
            case "vanish" if of in host.world.processes:
                host.world.crash(of)
            case "ack" if of in host.results:
                acknowledged.add(of)
                host.attempts.acknowledge(ResultAck(of))
            case "crash":
                _remember(host, told)
                host = await host.crash()
            case "full":
                host.world.store.before_commit = _full
            case "space":
                host.world.store.before_commit = lambda transaction: None
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            await host.settle()
    host.world.store.before_commit = lambda transaction: None
    await host.settle()
    _remember(host, told)
    assert all(count == 1 for count in host.world.starts.values()), host.world.starts
    for of, results in told.items():
        assert of in acknowledged or of in overtaken or len(results) == 1, (of, results)
        if of in host.world.starts:
            continue
        assert all(outcome is not Outcome.SUCCEEDED for outcome, _ in results), (of, results)
    await host.attempts.close()


def _remember(host: Host, told: dict[AttemptKey, set[tuple[Outcome, str]]]) -> None:
    """Keep what was told, but for the declines that a full disk cannot keep either: nothing began, and a coordinator
    that heard so does not send that attempt again."""
    for of, results in host.results.items():
        kept = [one for one in results if one.outcome is not Outcome.DECLINED or NO_SPACE not in one.error]
        if kept:
            told.setdefault(of, set()).update((one.outcome, one.digest) for one in kept)


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ({"parameters": b"\xff\xfe"}, "parameters are no UTF-8"),
        ({"host_variables": b"{\xc3"}, "host_variables are no UTF-8"),
        ({"outputs": b"\x80"}, "outputs are no UTF-8"),
        ({"step_type": ""}, "names no step type"),
    ],
)
async def test_what_cannot_be_read_is_declined_by_name_and_nothing_starts(odd: dict[str, Any], text: str) -> None:
    host = await Host(World()).recover()
    host.attempts.assign(replace(assignment(key(), Effect.PROBE), **odd))
    await host.settle()
    result = host.last(key())
    assert (result.outcome, result.failure_kind) == (Outcome.DECLINED, FailureKind.PARAMETER)
    assert text in result.error
    assert host.world.starts == {}
    if "outputs" not in odd:
        values: dict[str, Any] = {"step_type": "test.read", **odd}
        host.attempts.ask(Query(query_id="q", purpose=QueryPurpose.READ, **values))
        [answer] = [item for item in host.outbox.take() if isinstance(item, QueryAnswer)]
        assert (answer.ok, answer.failure_kind) == (False, FailureKind.PARAMETER)
        assert text in answer.error


async def test_a_flood_of_queries_takes_few_workers_and_each_is_answered() -> None:
    host = await Host(World()).recover()
    host.world.query_gate = asyncio.Event()
    for number in range(MOST_QUERIES + 10):
        host.attempts.ask(Query(query_id=str(number), purpose=QueryPurpose.READ, step_type="test.read"))
    await host.settle()
    assert host.world.queries == QUERIES_AT_ONCE
    assert [(each.ok, each.failure_kind) for each in host.answers] == [(False, FailureKind.INFRASTRUCTURE)] * 10
    host.world.query_gate.set()
    await host.settle(turns=10 * MOST_QUERIES)
    assert sum(each.ok for each in host.answers) == MOST_QUERIES


async def test_queries_that_wait_for_their_turn_are_lost_with_their_stream() -> None:
    host = await Host(World()).recover()
    host.world.query_gate = asyncio.Event()
    for number in range(QUERIES_AT_ONCE + 1):
        host.attempts.ask(Query(query_id=str(number), purpose=QueryPurpose.READ, step_type="test.read"))
    await host.settle()
    host.attempts.drop_queries()
    host.world.query_gate.set()
    host.attempts.ask(Query(query_id="new", purpose=QueryPurpose.READ, step_type="test.read"))
    await host.settle()
    assert [each.query_id for each in host.answers] == ["new"]


def test_assignments_do_not_show_their_secrets() -> None:
    shown: Any = repr(Assignment(key=key(), epoch=1, plan_digest="", step_type="x", effect=Effect.ONCE,
                                 secrets={"a": b"canary"}))  # fmt: skip
    assert "canary" not in shown
