"""kill -9 of a coordinator with ten thousand steps in flight: back to serving, agents back, nothing lost or twice."""

import json
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

from tests.benchmarks.disk import probe
from tests.benchmarks.figure import Figure, Report
from tests.benchmarks.site import Site, a_site
from tests.benchmarks.steps import CROWDED, items

AGENTS = 100
STEPS = 100

BLUEPRINT = """
pilotage: 1
workflows:
  all_at_once:
    name: Many steps on each host at the same time
    version: "1.0.0"
    parameters:
      items: {type: list, items: string}
    targets: {select: "host.online"}
    steps:
      - {id: work, type: dummy.once, for_each: "${{ parameters.items }}", max_items: 1000}
"""


async def measure(folder: Path, quick: bool = False) -> Report:
    """Kill it once all steps have begun, start it again, and only then let the steps end."""
    hosts = [f"h{number:03}" for number in range(AGENTS)]
    steps = STEPS // 10 if quick else STEPS
    total = AGENTS * steps
    folder.joinpath("recovery").mkdir()
    disk = probe(folder)
    async with a_site(folder / "recovery" / "site") as site:
        await site.join(hosts)
        firsts = range(0, AGENTS, CROWDED)
        crowds = [
            site.start_crowd(f"crowd-{first}", hosts[first : first + CROWDED], "--runner", "hold") for first in firsts
        ]
        await site.online(AGENTS)
        started = await site.client.start_run(source=BLUEPRINT, parameters={"items": items(steps)})
        execution = started["execution"]
        await site.until("all steps run", lambda: _running(site, execution, total), seconds=120, pause=0.5)
        site.kill()
        began = time.monotonic()
        site.launch()
        serving = await site.serving()
        await site.answering()
        await site.online(AGENTS)
        back = time.monotonic() - began
        for crowd in crowds:
            crowd.send_signal(signal.SIGUSR1)
        await site.ended(execution)
        finished = time.monotonic() - began
        site.stop_agents()
        site.stop_coordinator()
        begun = _begun(site, [hosts[first] for first in firsts])
        ended = _ended(site, execution)
    twice = sum(count > 1 for count in begun.values())
    figures = [
        Figure("kill -9 to gRPC serving", serving, "s", None, "<= 1 s"),
        Figure(f"kill -9 to {AGENTS} agents back", back, "s", None, "<= 3 s"),
        Figure("kill -9 to the end of all steps", finished, "s"),
        Figure("steps begun", len(begun), "steps", total, "all"),
        Figure("steps begun twice", twice, "steps", None, "0"),
        Figure("steps lost", total - ended, "steps", None, "0"),
    ]
    wrong = [f"{twice} steps were begun twice"] if twice else []
    if len(begun) != total or ended != total:
        wrong.append(f"of {total} steps {len(begun)} were begun and {ended} succeeded at their first attempt")
    title = f"kill -9 of the coordinator with {total:,} steps in flight"
    return Report("recovery", title, figures, (str(disk),), wrong)


async def _running(site: Site, execution: str, total: int) -> bool:
    found = {each["id"]: each["counts"] for each in await site.client.list_runs(limit=5)}
    return found[execution].get("running", 0) == total


def _begun(site: Site, firsts: list[str]) -> Counter[str]:
    """Return how often each step began, as the crowds counted."""
    counts: Counter[str] = Counter()
    for first in firsts:
        counts.update(json.loads((site.agent_state(first) / "begun").read_text()))
    return counts


def _ended(site: Site, execution: str) -> int:
    """Return how many attempts succeeded, each the first of its step run, as the coordinator's database says."""
    connection = sqlite3.connect(f"file:{site.database}?mode=ro", uri=True)
    query = "SELECT count(*) FROM workflow_attempts WHERE execution = ? AND attempt = 1 AND outcome = 'succeeded'"
    try:
        return int(connection.execute(query, (execution,)).fetchone()[0])
    finally:
        connection.close()
