"""kill -9 at each named failpoint of agent and worker: afterwards the attempt has one truth, and no second start."""

import asyncio
import json
from pathlib import Path

import pytest
from pilotage_agent.failpoint import FAILPOINTS
from pilotage_agent.state_dir import StateDir
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.agent_process import AgentProcess, running_agent
from tests.integration.agent.coordinator import SmallCoordinator, SmallSession, assignment, attempt_key

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

EXPECTED = {
    "agent.session.counted": {pb.OUTCOME_SUCCEEDED},
    "agent.hello.sent": {pb.OUTCOME_SUCCEEDED},
    "agent.accepted.before_journal": {pb.OUTCOME_SUCCEEDED},
    "agent.accepted.after_journal": {pb.OUTCOME_SUCCEEDED},
    "agent.started.before_journal": {pb.OUTCOME_SUCCEEDED},
    # STARTED is durable, nothing was handed over, and the agent can prove it.
    "agent.started.after_journal": {pb.OUTCOME_DECLINED},
    "agent.worker.spawned": {pb.OUTCOME_SUCCEEDED},
    "agent.exited.before_journal": {pb.OUTCOME_SUCCEEDED},
    "agent.exited.after_journal": {pb.OUTCOME_SUCCEEDED},
    "agent.result.sent": {pb.OUTCOME_SUCCEEDED},
    "agent.ack.received": {pb.OUTCOME_SUCCEEDED},
    # The worker died without an outcome: nobody knows.
    "worker.begun": {pb.OUTCOME_INTERRUPTED},
    "worker.outcome.before_write": {pb.OUTCOME_INTERRUPTED},
    "worker.outcome.after_write": {pb.OUTCOME_SUCCEEDED},
    # A cancel before the start: cancelled, never begun; one that hits the running step: cancelled.
    "agent.cancel.received": {pb.OUTCOME_CANCELLED},
    "agent.tombstone.noted": {pb.OUTCOME_CANCELLED},
    "agent.recovery.before": {pb.OUTCOME_INTERRUPTED},
    "agent.recovery.after": {pb.OUTCOME_INTERRUPTED},
}
BY_THEMSELVES = ("agent.tombstone", "agent.recovery")


def test_every_failpoint_is_walked() -> None:
    assert set(EXPECTED) == set(FAILPOINTS)


@pytest.mark.parametrize("name", [name for name in FAILPOINTS if not name.startswith(BY_THEMSELVES)])
async def test_a_kill_at(name: str, coordinator: SmallCoordinator, state: StateDir, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    key = attempt_key()
    hang = name == "agent.cancel.received"
    job = assignment(key, "dummy.once", pb.EFFECT_ONCE, {"write": str(starts), "hang": hang})
    async with running_agent(state, {"PILOTAGE_FAILPOINT": name}) as agent:
        if name.startswith("worker."):
            session = await coordinator.next_session()
            session.send(assignment=job)
            result = await _result(session)
        else:
            await _play_until_killed(coordinator, agent, job, starts, cancel=hang)
            result = None
    if result is None:
        async with running_agent(state):
            session = await coordinator.next_session()
            result = await _finish(session, key, job, cancel=hang)
            session.send(result_ack=pb.ResultAck(key=key))
    assert result.outcome in EXPECTED[name], result
    begun = starts.read_text().splitlines() if starts.exists() else []
    assert len(begun) <= 1, begun
    if result.outcome == pb.OUTCOME_SUCCEEDED:
        assert len(begun) == 1
    if result.started_at == 0:
        assert begun == []


@pytest.mark.parametrize(("name", "recoveries"), [("agent.recovery.before", 1), ("agent.recovery.after", 2)])
async def test_a_kill_at_a_recovery_repeats_it(
    name: str, recoveries: int, coordinator: SmallCoordinator, state: StateDir, tmp_path: Path
) -> None:
    key, mess, recovered = attempt_key(), tmp_path / "mess", tmp_path / "recovered"
    places = {"mess": str(mess), "recover_write": str(recovered), "finished": str(tmp_path / "finished")}
    job = assignment(key, "dummy.probe", pb.EFFECT_PROBE, {"crash": "sigkill", **places})
    async with running_agent(state, {"PILOTAGE_FAILPOINT": name}) as agent:
        session = await coordinator.next_session()
        session.send(assignment=job)
        assert await agent.ended() == -9
    async with running_agent(state):
        session = await coordinator.next_session()
        result = await _result(session)
    assert result.outcome in EXPECTED[name], result
    evidence = json.loads(result.evidence)
    assert (evidence["recovery"], evidence["probe"]) == ("done", "not_done")
    assert not mess.exists()
    assert len(recovered.read_text().splitlines()) == recoveries


async def test_a_kill_with_a_tombstone_not_yet_written(coordinator: SmallCoordinator, state: StateDir) -> None:
    key = attempt_key()
    cancel = pb.Cancel(key=key, epoch=1, reason="never mind")
    async with running_agent(state, {"PILOTAGE_FAILPOINT": "agent.tombstone.noted"}) as agent:
        session = await coordinator.next_session()
        session.send(cancel=cancel)
        assert await agent.ended() == -9
    async with running_agent(state):
        session = await coordinator.next_session()
        session.send(cancel=cancel)
        assert (await _result(session)).outcome == pb.OUTCOME_CANCELLED
        session.send(assignment=assignment(key, "dummy.once", pb.EFFECT_ONCE, {}))
        [_, late] = await session.wait_for("result", 2)
        assert late.outcome == pb.OUTCOME_CANCELLED


async def _play_until_killed(
    coordinator: SmallCoordinator, agent: AgentProcess, job: pb.Assignment, starts: Path, *, cancel: bool
) -> None:
    """Do what a coordinator does until the agent is dead."""
    coordinator.auto_ack = True
    ended = asyncio.ensure_future(agent.ended(40))
    session = asyncio.ensure_future(coordinator.next_session(40))
    await asyncio.wait({ended, session}, return_when=asyncio.FIRST_COMPLETED)
    if session.done():
        session.result().send(assignment=job)
        if cancel:
            while not starts.exists():  # noqa: ASYNC110 - a file tells nobody that it came
                await asyncio.sleep(0.02)
            session.result().send(cancel=pb.Cancel(key=job.key, epoch=1, reason="stop"))
    session.cancel()
    assert await ended == -9
    coordinator.auto_ack = False
    while not coordinator.sessions.empty():
        coordinator.sessions.get_nowait()


async def _finish(session: SmallSession, key: pb.AttemptKey, job: pb.Assignment, *, cancel: bool) -> pb.Result:
    """Redeliver what the journal does not show, and wait for the result."""
    [page] = await session.wait_for("journal")
    shown = {entry.key.SerializeToString(): entry for entry in page.entries}
    entry = shown.get(key.SerializeToString())
    if entry is None or entry.state == pb.JOURNAL_STATE_ACCEPTED:
        session.send(assignment=job)
    elif entry.state == pb.JOURNAL_STATE_EXITED:
        return pb.Result.FromString(entry.result.SerializeToString())
    if cancel:
        session.send(cancel=pb.Cancel(key=key, epoch=1, reason="stop"))
    return await _result(session)


async def _result(session: SmallSession) -> pb.Result:
    [result] = await session.wait_for("result")
    assert isinstance(result, pb.Result)
    assert json.loads(result.evidence or b"{}") is not None
    return result
