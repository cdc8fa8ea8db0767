"""A real agent process against a real gRPC server: one assignment from end to end, and what a kill -9 leaves."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pilotage_agent import agent, holdings
from pilotage_agent.config import AgentConfig
from pilotage_agent.runner.memory import default_limit
from pilotage_agent.state_dir import StateDir
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.agent_process import running_agent
from tests.integration.agent.coordinator import SmallCoordinator, assignment, attempt_key, files_below


async def test_a_command_runs_and_is_reported_with_its_log(coordinator: SmallCoordinator, state: StateDir) -> None:
    known = {"facts": {"packages_manual": ["nginx"]}, "found_at": time.time()}
    state.holdings.write_text(json.dumps(known))
    async with running_agent(state):
        session = await coordinator.next_session()
        [hello] = await session.wait_for("hello")
        assert json.loads(hello.inventory.facts)["packages_manual"] == ["nginx"]
        assert hello.session_counter == 1
        assert "command.run" in {one["name"] for one in json.loads(hello.inventory.step_types)}
        assert json.loads(hello.inventory.facts)["cpu_count"] >= 1
        key = attempt_key()
        session.send(assignment=assignment(key, "command.run", pb.EFFECT_ONCE, {"argv": ["echo", "hello fleet"]}))
        [result] = await session.wait_for("result")
        assert result.key == key
        assert result.outcome == pb.OUTCOME_SUCCEEDED, result.error
        assert json.loads(result.outputs)["exit_code"] == 0
        await _until(lambda: any(item.log.last for item in session.items))
        lines = b"".join(item.log.data for item in session.items).splitlines()
        assert [json.loads(line)["m"] for line in lines] == ["hello fleet"]
        session.send(result_ack=pb.ResultAck(key=key))
        await _until(lambda: not files_below(state.attempts))


async def test_without_a_setting_a_step_gets_a_share_of_the_memory(
    coordinator: SmallCoordinator, state: StateDir
) -> None:
    async with running_agent(state):
        session = await coordinator.next_session()
        say_limit = {"argv": ["sh", "-c", "ulimit -d"]}
        session.send(assignment=assignment(attempt_key(), "command.run", pb.EFFECT_ONCE, say_limit))
        [result] = await session.wait_for("result")
        assert int(json.loads(result.outputs)["stdout"]) == default_limit() >> 10


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


async def test_a_second_agent_on_the_same_state_is_refused(coordinator: SmallCoordinator, state: StateDir) -> None:
    async with running_agent(state):
        await coordinator.next_session()
        async with running_agent(state) as second:
            assert await second.ended() == 2


async def test_a_stop_is_quick_and_leaves_the_step_running(
    coordinator: SmallCoordinator, state: StateDir, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    key = attempt_key()
    async with running_agent(state) as agent:
        session = await coordinator.next_session()
        job = assignment(key, "dummy.once", pb.EFFECT_ONCE, {"write": str(starts), "sleep": "8s"})
        session.send(assignment=job)
        await _until(starts.exists)
        agent.process.terminate()
        assert await agent.ended(8) == 0
    async with running_agent(state):
        session = await coordinator.next_session()
        result = await session.result_of(key)  # it may have ended before the agent was back
        assert result.outcome == pb.OUTCOME_SUCCEEDED
        assert len(starts.read_text().splitlines()) == 1


async def test_what_ended_while_the_coordinator_was_away_is_reported_later(
    coordinator: SmallCoordinator, state: StateDir, tmp_path: Path
) -> None:
    finished = tmp_path / "finished"
    key = attempt_key()
    async with running_agent(state):
        session = await coordinator.next_session()
        job = assignment(
            key,
            "dummy.once",
            pb.EFFECT_ONCE,
            {"sleep": "1s", "finished": str(finished), "log": ["before it was cut off"]},
        )
        session.send(assignment=job)
        await session.wait_for("started")
        await coordinator.stop()
        await _until(finished.exists)
        await coordinator.start(coordinator.fleet_port, coordinator.enrol_port)
        session = await coordinator.next_session()
        [hello] = await session.wait_for("hello")
        assert hello.session_counter >= 2
        [page] = await session.wait_for("journal")
        assert page.entries[0].key == key
        await session.wait_for("log")


async def test_a_coordinator_with_an_older_epoch_is_not_served(coordinator: SmallCoordinator, state: StateDir) -> None:
    coordinator.welcome.epoch = 7
    async with running_agent(state):
        session = await coordinator.next_session()
        session.send(ping=pb.Ping(nonce="seen"))
        await session.wait_for("heartbeat")
    coordinator.welcome.epoch = 6
    async with running_agent(state):
        session = await coordinator.next_session()
        async with asyncio.timeout(20), session.changed:
            await session.changed.wait_for(lambda: session.ended)


async def test_an_idle_agent_is_small(coordinator: SmallCoordinator, state: StateDir) -> None:
    async with running_agent(state) as agent:
        await coordinator.next_session()
        await asyncio.sleep(0.5)
        status = Path(f"/proc/{agent.pid}/status").read_text()
        [resident] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
        print(f"idle agent: {resident} KiB")  # noqa: T201
        assert resident < 60 * 1024, f"{resident} KiB; 55 MiB is the aim, measured by make bench"


async def test_what_the_host_holds_is_looked_at_later_and_told_when_it_changed(
    coordinator: SmallCoordinator, state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found() -> Mapping[str, Any]:
        return {"packages_manual": ["curl"]}

    monkeypatch.setattr(holdings, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(agent, "probe_holdings", lambda environment: found())
    running = agent.Agent(AgentConfig(state.path, spares=0), state, os.environ)
    work = asyncio.ensure_future(running.run())
    try:
        session = await coordinator.next_session()
        [told] = await session.wait_for("inventory")
        assert json.loads(told.facts)["packages_manual"] == ["curl"]
    finally:
        running.stop()
        await work
