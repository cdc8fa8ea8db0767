"""How much memory an agent and a coordinator hold."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.certificates import make_certificates
from tests.benchmarks.figure import Figure, Report
from tests.benchmarks.sample import children, descendants, proportional_mib, resident_mib
from tests.benchmarks.site import BenchmarkFailed, a_site
from tests.benchmarks.steps import blueprint, items

SETTLE_SECONDS = 3.0


async def measure(folder: Path, quick: bool = False) -> Report:
    """One real agent: before and after it first ran a step, and what it keeps ready for the next.

    The ceiling is a process that holds one bare stream, and the bare server with it.
    """
    bare, bare_coordinator = await _bare_sizes(folder / "memory" / "bare")
    async with a_site(folder / "memory" / "site") as site:
        await site.join(["h000"])
        agent = site.start_agent("h000")
        await site.online(1)
        await asyncio.sleep(SETTLE_SECONDS)
        fresh, helpers = resident_mib(agent.pid), len(descendants(agent.pid))
        assert site.coordinator is not None
        coordinator = resident_mib(site.coordinator.pid)
        await site.run(blueprint("dummy.once"), {"items": items(20)})
        await asyncio.sleep(SETTLE_SECONDS)
        zygote = _zygote(agent)
        spares = children(zygote)
        figures = [
            Figure("agent, idle, nothing run yet (RSS)", fresh, "MiB", bare, "<= 55 MiB", f"{helpers} child processes"),
            Figure("agent, idle, after 20 steps (RSS)", resident_mib(agent.pid), "MiB", bare, "<= 55 MiB"),
            Figure("its zygote (PSS)", proportional_mib(zygote), "MiB", None, "", "from the first step on"),
            Figure("each spare worker (PSS)", _mean(proportional_mib(pid) for pid in spares), "MiB", None, "",
                   f"{len(spares)} spares"),
            Figure("coordinator with one idle agent (RSS)", coordinator, "MiB", bare_coordinator),
        ]  # fmt: skip
    return Report("memory", "Memory", figures, ("ceiling: processes with one bare grpc.aio stream, mutual TLS",))


async def _bare_sizes(folder: Path) -> tuple[float, float]:
    folder.mkdir(parents=True)
    make_certificates(folder)
    program = [sys.executable, "-m", "tests.benchmarks.bare_idle"]
    server = await asyncio.create_subprocess_exec(*program, "serve", str(folder), stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = (await server.stdout.readline()).decode().strip()
        arguments = ("agents", str(folder), port, "1", "10")
        agent = await asyncio.create_subprocess_exec(*program, *arguments, stdout=subprocess.PIPE)
        try:
            assert agent.stdout is not None
            if await agent.stdout.readline() != b"open\n":
                raise BenchmarkFailed("the bare stream did not open; what it said is above")
            return resident_mib(agent.pid), resident_mib(server.pid)
        finally:
            agent.terminate()
            await agent.wait()
    finally:
        server.terminate()
        await server.wait()


def _zygote(agent: "subprocess.Popen[bytes]") -> int:
    for pid in children(agent.pid):
        if b"zygote" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise BenchmarkFailed("the agent has no zygote after its first steps")


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else float("nan")
