"""Steps that print far more than anybody takes: the agent stays small, results pass, and the log says what it lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pilotage_agent.runner.process import resident_bytes
from pilotage_agent.runner.step_log import KEPT
from pilotage_agent.state_dir import StateDir
from pilotage_proto.v1 import fleet_pb2 as pb

from tests.integration.agent.agent_process import running_agent
from tests.integration.agent.coordinator import SmallCoordinator, SmallSession, assignment, attempt_key

MIB = 1 << 20
FLOOD = 32 * MIB
STEPS = range(1, 5)
WINDOW = 256 * 1024
ROOM = 16 * MIB
"""What the agent may grow by: far below what one of the steps prints, and far above what Python does by itself."""


class Largest:
    """The most that a process was seen to hold."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.bytes = 0

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look often meanwhile."""
        watching = asyncio.ensure_future(self._watch())
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, resident_bytes(self.pid))
            await asyncio.sleep(0.02)


async def test_a_flood_of_output_to_a_coordinator_that_takes_none(
    coordinator: SmallCoordinator, state: StateDir
) -> None:
    coordinator.ack_logs = False
    coordinator.welcome.log_window = WINDOW
    async with running_agent(state) as agent:
        session = await coordinator.next_session()
        session.send(assignment=assignment(attempt_key(99), "dummy.once", pb.EFFECT_ONCE, {}))
        await session.wait_for("result")
        before = resident_bytes(agent.pid)
        largest = Largest(agent.pid)
        async with largest.watched():
            for number in STEPS:
                flood = {"flood": f"{FLOOD}B"}
                session.send(assignment=assignment(attempt_key(number), "dummy.once", pb.EFFECT_ONCE, flood))
            results = await session.wait_for("result", 1 + len(STEPS), 120)
            assert all(result.outcome == pb.OUTCOME_SUCCEEDED for result in results), results
            assert sum(len(item.log.data) for item in session.items) <= WINDOW, "nothing was acknowledged"
            await _take_the_rest(coordinator, session)
        assert largest.bytes - before < ROOM, f"it grew from {before >> 20} to {largest.bytes >> 20} MiB"
    for number in STEPS:
        chunks = [item.log for item in session.items if item.log.key == attempt_key(number)]
        kept = sum(len(chunk.data) for chunk in chunks)
        lost = sum(chunk.dropped for chunk in chunks)
        assert kept <= KEPT + WINDOW
        assert kept + lost > FLOOD
        assert lost > FLOOD // 2, "the gap is told"
        assert chunks[-1].last


async def _take_the_rest(coordinator: SmallCoordinator, session: SmallSession) -> None:
    """Be quick again: acknowledge what came, and then each chunk as it comes, to the end of every log."""
    coordinator.ack_logs = True
    for item in tuple(session.items):
        if item.WhichOneof("item") == "log":
            end = item.log.offset + len(item.log.data)
            session.send(log_ack=pb.LogAck(key=item.log.key, offset=end))
    async with asyncio.timeout(60), session.changed:
        await session.changed.wait_for(lambda: sum(item.log.last for item in session.items) >= len(STEPS))
