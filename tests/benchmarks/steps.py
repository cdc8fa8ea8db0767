"""Steps a second and the time of one step, with one step outstanding at each agent, beside the ceiling."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.certificates import make_certificates
from tests.benchmarks.disk import probe
from tests.benchmarks.figure import Figure, Report
from tests.benchmarks.pace import Pace, pace
from tests.benchmarks.sample import cpu_seconds
from tests.benchmarks.site import BenchmarkFailed, Site, a_site

CROWDED = 25
"""Agents that share one process, product and ceiling alike: a hundred real agent processes need 10 GiB, and start for
minutes on two cores."""

BLUEPRINT = """
pilotage: 1
workflows:
  one_by_one:
    name: One step after the other on each host
    version: "1.0.0"
    parameters:
      items: {type: list, items: string}
    targets: {select: "host.online"}
    steps:
      - id: work
        type: STEP_TYPE
        for_each: "${{ parameters.items }}"
        max_items: 10000
        rollout: {max_parallel: 1}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: the step type, who runs it, and how many steps each of so many agents does."""

    name: str
    title: str
    step_type: str
    runner: str
    steps: dict[int, int]
    aims: dict[int, tuple[str, str]]


ONCE = Kind(
    "once", "(a) a `once` step in a one-shot worker", "dummy.once", "workers",
    {1: 400, 10: 200, 100: 40}, {1: ("", "<= 5 ms"), 10: (">= 300/s", "")},
)  # fmt: skip
ANSWER = Kind(
    "answer", "(b) a `once` step answered inside the agent: everything but the worker", "dummy.once", "answer",
    {1: 1000, 10: 500, 100: 150}, {1: ("", "<= 3 ms"), 100: (">= 0.5 of the ceiling", "")},
)  # fmt: skip
READ = Kind(
    "read", "(c) a `read` step in a reused worker", "dummy.read", "workers",
    {1: 400, 10: 200, 100: 40}, {},
)  # fmt: skip


def blueprint(step_type: str) -> str:
    """Return a blueprint that runs a step for each item, on each host, one after the other."""
    return BLUEPRINT.replace("STEP_TYPE", step_type)


def items(number: int) -> list[str]:
    """Return so many items."""
    return [f"i{each:04}" for each in range(number)]


async def measure(kind: Kind, folder: Path, quick: bool = False) -> Report:
    """Measure one kind with each number of agents, product and ceiling one after the other."""
    figures: list[Figure] = []
    facts: list[str] = []
    for agents, all_steps in kind.steps.items():
        steps = max(20, all_steps // 5) if quick else all_steps
        place = folder / kind.name / str(agents)
        place.mkdir(parents=True)
        before = probe(place)
        ceiling = await bare_pace(kind, place / "bare", agents, steps)
        own = await product_pace(kind, place / "site", agents, steps)
        aims = kind.aims.get(agents, ("", ""))
        label = f"{agents} agent{'s' if agents > 1 else ''}"
        work, bare_work = own.cpu, ceiling.cpu
        figures += [
            Figure(f"{label}: throughput", own.rate, "steps/s", ceiling.rate, aims[0], f"{agents * steps} steps"),
            Figure(f"{label}: latency p50", own.p50, "ms", ceiling.p50, aims[1]),
            Figure(f"{label}: latency p99", own.p99, "ms", ceiling.p99),
            Figure(f"{label}: CPU time of a step", sum(work), "ms", sum(bare_work), "",
                   f"coordinator {work[0]:.2f} (bare {bare_work[0]:.2f}), agents {work[1]:.2f} ({bare_work[1]:.2f})"),
        ]  # fmt: skip
        facts.append(f"{label}: {before}; afterwards p50 {probe(place).p50:.2f} ms")
    return Report(kind.name, kind.title, figures, facts)


async def product_pace(kind: Kind, folder: Path, agents: int, steps: int) -> Pace:
    """Run the steps through a real coordinator and real agents; each must have succeeded at its first attempt."""
    async with a_site(folder) as site:
        hosts = [f"h{number:03}" for number in range(agents)]
        await site.join(hosts)
        start_agents(site, kind.runner, hosts)
        await site.online(agents)
        coordinator, before = site.coordinator_cpu(), site.agents_cpu()
        execution = await site.run(blueprint(kind.step_type), {"items": items(steps)})
        used = (site.coordinator_cpu() - coordinator, site.agents_cpu() - before)
        assigned, finished = times_of(site.database, execution)
    if len(finished) != agents * steps:
        raise BenchmarkFailed(f"{agents * steps} steps were to run, {len(finished)} attempts ended; see {folder}")
    return pace(assigned, finished, used)


def start_agents(site: Site, runner: str, hosts: Sequence[str]) -> None:
    """Start the agents of hosts: real agents as long as there are few and they have workers, else crowds."""
    if runner == "workers" and len(hosts) <= 10:
        for host in hosts:
            site.start_agent(host)
        return
    for start in range(0, len(hosts), CROWDED):
        site.start_crowd(f"crowd-{start}", hosts[start : start + CROWDED], "--runner", runner)


def times_of(database: Path, execution: str) -> tuple[list[list[int]], list[int]]:
    """Read from an execution's events when attempts were assigned, by host, and when they ended."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT at, type, data FROM workflow_events WHERE execution = ? ORDER BY sequence", (execution,)
        ).fetchall()
    finally:
        connection.close()
    assigned: dict[str, list[int]] = defaultdict(list)
    finished: list[int] = []
    for at, kind, data in rows:
        if kind == "attempt_planned":
            assigned[json.loads(data)["host"]].append(at)
        elif kind == "attempt_finished":
            finished.append(at)
    return list(assigned.values()), finished


async def bare_pace(kind: Kind, folder: Path, agents: int, steps: int) -> Pace:
    """Run as many steps without Pilotage; see bare.py."""
    folder.mkdir()
    make_certificates(folder)
    program = [sys.executable, "-m", "tests.benchmarks.bare"]
    server = await asyncio.create_subprocess_exec(*program, "serve", str(folder), stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = (await server.stdout.readline()).decode().strip()
        began = cpu_seconds(server.pid)
        clients = []
        for start in range(0, agents, CROWDED):
            place = folder / f"agents-{start}"
            place.mkdir()
            number = str(min(CROWDED, agents - start))
            arguments = ["agents", str(folder), str(place), port, kind.name, number, str(steps)]
            clients.append(await asyncio.create_subprocess_exec(*program, *arguments, stdout=subprocess.PIPE))
        printed = [text for text, _ in await asyncio.gather(*(client.communicate() for client in clients))]
        used = cpu_seconds(server.pid) - began
    finally:
        server.terminate()
        await server.wait()
    if any(client.returncode for client in clients):
        raise BenchmarkFailed("the ceiling's agents failed; what they said is above")
    parts = [json.loads(text) for text in printed]
    return pace(
        [each for part in parts for each in part["assigned"]],
        [at for part in parts for at in part["finished"]],
        (used, sum(part["cpu"] for part in parts)),
    )
