"""A real agent process under test."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pilotage_agent.link.enrol import JoinToken, finish_joining, join
from pilotage_agent.runner.process import descendants_of, kill_descendants
from pilotage_agent.state_dir import StateDir

from tests.integration.agent.coordinator import SmallCoordinator


async def enrolled(coordinator: SmallCoordinator, folder: Path, name: str = "h1") -> StateDir:
    """Join a coordinator; returns the state folder."""
    state = StateDir(folder)
    state.make()
    identity = await join(JoinToken.parse(coordinator.join_token()), name, state.joining, "test")
    finish_joining(identity, state.identity, state.joining)
    return state


class AgentProcess:
    """One run of the agent."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)

    async def ended(self, seconds: float = 20.0) -> int:
        return await asyncio.wait_for(self.process.wait(), seconds)


@asynccontextmanager
async def running_agent(
    state: StateDir, environment: Mapping[str, str] | None = None, *arguments: str
) -> AsyncIterator[AgentProcess]:
    """Run the agent; at the end it and every process below it is gone."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pilotage_agent",
        "--state-dir",
        str(state.path),
        *arguments,
        env={**os.environ, "HOME": str(state.path), **(environment or {})},
        start_new_session=True,
    )
    try:
        yield AgentProcess(process)
    finally:
        if process.returncode is None:
            below = descendants_of(process.pid)
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()
            for pid in below:
                kill_descendants(pid)
