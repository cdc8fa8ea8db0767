"""`make bench`, or `python -m tests.benchmarks [NAME...]`: measure, print, and keep .bench/report.json.

Nothing is asserted about time: each figure stands beside its ceiling from the same run, and beside what an fsync cost.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.benchmarks import flat, history, recovery, size, start, steps
from tests.benchmarks.figure import Report, show

FOLDER = Path(".bench")

Part = Callable[[Path], Awaitable[Report]]

PARTS: Mapping[str, Part] = {
    "answer": partial(steps.measure, steps.ANSWER, counts=(1, 10, 100)),
    "once": partial(steps.measure, steps.ONCE, counts=(1, 10, 100)),
    "read": partial(steps.measure, steps.READ, counts=(1, 10, 100)),
    "flat": flat.measure,
    "start": start.measure,
    "memory": size.measure_agent,
    "idle": size.measure_idle,
    "recovery": recovery.measure,
    "history": history.measure,
}


def main() -> int:
    """Measure what was named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="NAME", help="what to measure; everything by default")
    parser.add_argument("--list", action="store_true", help="list the parts")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(PARTS))
        return 0
    unknown = [name for name in chosen.parts if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    asyncio.run(_measure(chosen.parts or list(PARTS)))
    return 0


async def _measure(names: list[str]) -> None:
    console = Console()
    work = (FOLDER / "work").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    machine = _machine()
    console.print(machine)
    began = time.monotonic()
    reports: list[Report] = []
    for name in names:
        report = await PARTS[name](work)
        show(report, console)
        reports.append(report)
        found = {"machine": machine, "load": os.getloadavg(), "parts": [each.as_json() for each in reports]}
        (FOLDER / "report.json").write_text(json.dumps(found, indent=2) + "\n")
    console.print(f"\n{time.monotonic() - began:.0f} s; the figures are also in {FOLDER / 'report.json'}")
    shutil.rmtree(work, ignore_errors=True)


def _machine() -> str:
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    system = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {system}; load before: {load}"


if __name__ == "__main__":
    sys.exit(main())
