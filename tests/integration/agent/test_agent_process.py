"""A real agent process against a real gRPC server: one assignment from end to end, and what a kill -9 leaves."""

import asyncio
import json
from pathlib import Path

from pilotage_agent.state_dir import StateDir
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.agent_process import running_agent
from tests.integration.agent.coordinator import SmallCoordinator, assignment, attempt_key, files_below


async def test_a_command_runs_and_is_reported_with_its_log(coordinator: SmallCoordinator, state: StateDir) -> None:
    async with running_agent(state):
        session = await coordinator.next_session()
        [hello] = await session.wait_for("hello")
        assert hello.session_counter == 1
        assert "command.run" in {one["name"] for one in json.loads(hello.inventory.step_types)}
        assert json.loads(hello.inventory.facts)["cpu_count"] >= 1
        key = attempt_key()
        session.send(assignment=assignment(key, "command.run", pb.EFFECT_ONCE, {"argv": ["echo", "hello fleet"]}))
        [result] = await session.wait_for("result")
        assert result.key == key
        assert result.outcome == pb.OUTCOME_SUCCEEDED, result.error
        assert json.loads(result.outputs)["exit_code"] == 0
        [chunk] = await session.wait_for("log")
        assert [json.loads(line)["m"] for line in chunk.data.splitlines()] == ["hello fleet"]
        assert chunk.last
        session.send(result_ack=pb.ResultAck(key=key))
        await _until(lambda: not files_below(state.attempts))


async def test_a_step_survives_the_death_of_its_agent_and_is_reported_by_the_next(
    coordinator: SmallCoordinator, state: StateDir, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    key = attempt_key()
    parameters = {"write": str(starts), "sleep": "2s"}
    async with running_agent(state) as agent:
        session = await coordinator.next_session()
        session.send(assignment=assignment(key, "dummy.once", pb.EFFECT_ONCE, parameters))
        await session.wait_for("started")
        await _until(starts.exists)
        agent.kill()
        await agent.ended()
    async with running_agent(state):
        session = await coordinator.next_session()
        [page] = await session.wait_for("journal")
        assert [entry.key for entry in page.entries] == [key]
        session.send(assignment=assignment(key, "dummy.once", pb.EFFECT_ONCE, parameters))
        [result] = await session.wait_for("result")
        assert result.outcome == pb.OUTCOME_SUCCEEDED, result
        assert len(starts.read_text().splitlines()) == 1


async def _until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - files tell nobody that they came
            await asyncio.sleep(0.02)
