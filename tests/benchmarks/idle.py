"""What a thousand agents with nothing to do cost the coordinator, beside as many bare streams."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.certificates import make_certificates
from tests.benchmarks.figure import Figure, Report
from tests.benchmarks.sample import cpu_seconds, resident_mib
from tests.benchmarks.site import BenchmarkFailed, a_site

AGENTS = 1_000
HEARTBEAT_SECONDS = 10
"""Pilotage's own; two whole ones are watched."""
WATCH_SECONDS = 20.0
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What the agents cost the server: KiB of memory each, and the share of one core, in percent, for all."""

    memory: float
    share: float


async def measure(folder: Path, quick: bool = False) -> Report:
    """Hold the sessions and watch the coordinator's process, then the same with bare streams."""
    number = AGENTS // 10 if quick else AGENTS
    bare = await _bare(folder / "idle" / "bare", number)
    own = await _product(folder / "idle" / "site", number)
    figures = [
        Figure("coordinator's memory for each agent", own.memory, "KiB", bare.memory, "<= 150 KiB"),
        Figure(f"CPU of one core, over {WATCH_SECONDS:.0f} s", own.share, "%", bare.share, "<= 8 %"),
    ]
    facts = (f"a heartbeat every {HEARTBEAT_SECONDS} s; ceiling: bare grpc.aio streams with mutual TLS and as much",)
    return Report("idle", f"{number:,} idle agents", figures, facts)


async def _product(folder: Path, number: int) -> Cost:
    async with a_site(folder) as site:
        hosts = [f"h{each:04}" for each in range(number)]
        await site.join(hosts)
        assert site.coordinator is not None
        pid = site.coordinator.pid
        await asyncio.sleep(SETTLE_SECONDS)
        before = resident_mib(pid)
        states = [str(site.agent_state(host)) for host in hosts]
        streams = site.start_program("streams", "tests.benchmarks.idle_streams", *states)
        await site.online(number)
        cost = await _watch(pid, before, number)
        if streams.poll() is not None or await site.count_online() != number:
            raise BenchmarkFailed(f"not all idle agents stayed; see {folder / 'streams.log'}")
    return cost


async def _bare(folder: Path, number: int) -> Cost:
    folder.mkdir(parents=True)
    make_certificates(folder)
    program = [sys.executable, "-m", "tests.benchmarks.bare_idle"]
    server = await asyncio.create_subprocess_exec(*program, "serve", str(folder), stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = (await server.stdout.readline()).decode().strip()
        before = resident_mib(server.pid)
        arguments = ("agents", str(folder), port, str(number), str(HEARTBEAT_SECONDS))
        agents = await asyncio.create_subprocess_exec(*program, *arguments, stdout=subprocess.PIPE)
        try:
            assert agents.stdout is not None
            if await agents.stdout.readline() != b"open\n":
                raise BenchmarkFailed("the bare streams did not open; what they said is above")
            return await _watch(server.pid, before, number)
        finally:
            agents.terminate()
            await agents.wait()
    finally:
        server.terminate()
        await server.wait()


async def _watch(pid: int, before: float, number: int) -> Cost:
    await asyncio.sleep(SETTLE_SECONDS)
    began = cpu_seconds(pid)
    await asyncio.sleep(WATCH_SECONDS)
    share = (cpu_seconds(pid) - began) / WATCH_SECONDS * 100
    return Cost((resident_mib(pid) - before) * 1024 / number, share)
