"""How much memory an agent and a coordinator hold, and what a thousand idle agents cost the coordinator."""

import asyncio
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.figure import Figure, Report
from tests.benchmarks.sample import children, cpu_seconds, descendants, proportional_mib, resident_mib
from tests.benchmarks.site import Site, a_site
from tests.benchmarks.steps import blueprint, items

SETTLE_SECONDS = 3.0
IDLE_SECONDS = 30.0
IDLE_AGENTS = 1_000


async def measure_agent(folder: Path) -> Report:
    """One real agent: before and after it first ran a step, and what it keeps ready for the next."""
    async with a_site(folder / "size") as site:
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
            Figure("agent, idle, nothing run yet (RSS)", fresh, "MiB", None, "<= 55 MiB", f"{helpers} child processes"),
            Figure("agent, idle, after 20 steps (RSS)", resident_mib(agent.pid), "MiB", None, "<= 55 MiB"),
            Figure("its zygote (PSS)", proportional_mib(zygote), "MiB", None, "", "from the first step on"),
            Figure("each spare worker (PSS)", _mean(proportional_mib(pid) for pid in spares), "MiB", None, "",
                   f"{len(spares)} spares"),
            Figure("coordinator with one idle agent (RSS)", coordinator, "MiB"),
        ]  # fmt: skip
    return Report("memory", "Memory", figures)


async def measure_idle(folder: Path) -> Report:
    """A thousand sessions with nothing to do, at a heartbeat every ten seconds."""
    async with a_site(folder / "idle") as site:
        hosts = [f"h{number:04}" for number in range(IDLE_AGENTS)]
        await site.join(hosts)
        assert site.coordinator is not None
        pid = site.coordinator.pid
        await asyncio.sleep(SETTLE_SECONDS)
        before = resident_mib(pid)
        streams = _streams(site, hosts)
        await site.online(IDLE_AGENTS)
        await asyncio.sleep(SETTLE_SECONDS)
        began = cpu_seconds(pid)
        await asyncio.sleep(IDLE_SECONDS)
        share = (cpu_seconds(pid) - began) / IDLE_SECONDS * 100
        each = (resident_mib(pid) - before) * 1024 / IDLE_AGENTS
        if streams.poll() is not None:
            raise RuntimeError(f"the idle agents ended; see {site.folder}")
        figures = [
            Figure("coordinator's memory for each agent", each, "KiB", 88.0, "<= 150 KiB"),
            Figure("CPU of one core, over 30 s", share, "%", 4.5, "<= 8 %"),
        ]
    return Report("idle", f"{IDLE_AGENTS:,} idle agents (ceilings: bare streams, as measured once)", figures)


def _streams(site: Site, hosts: list[str]) -> "subprocess.Popen[bytes]":
    return site.start_program("streams", "tests.benchmarks.idle_streams", *(str(site.agent_state(h)) for h in hosts))


def _zygote(agent: "subprocess.Popen[bytes]") -> int:
    for pid in children(agent.pid):
        if b"zygote" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise RuntimeError("the agent has no zygote after its first steps")


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else float("nan")
