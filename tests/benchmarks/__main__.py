"""`make bench`, or `python -m tests.benchmarks [PART...]`: measure, print, and keep .bench/report.json.

Nothing is asserted about time: each figure stands beside its ceiling from the same run, and beside what an fsync cost.
It fails, with exit code 1, when something could not be measured, or when a step was lost or begun twice.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from tests.benchmarks import flat, history, idle, recovery, size, start, steps
from tests.benchmarks.figure import Report, show
from tests.benchmarks.machine import machine
from tests.benchmarks.published import NotPublishable, markdown, publish

FOLDER = Path(".bench")
PAGE = Path("docs/benchmarks.md")
PART_SECONDS = 420.0
"""After this a part has failed: something hangs."""

Part = Callable[[Path, bool], Awaitable[Report]]
"""Measures below a folder; with True quickly, on less, for who changes the measurement or looks for a gross change."""

PARTS: Mapping[str, Part] = {
    "answer": partial(steps.measure, steps.ANSWER),
    "once": partial(steps.measure, steps.ONCE),
    "read": partial(steps.measure, steps.READ),
    "flat": flat.measure,
    "start": start.measure,
    "memory": size.measure,
    "idle": idle.measure,
    "recovery": recovery.measure,
    "history": history.measure,
}


def main() -> int:
    """Measure what was named, or everything."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=...", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)}; or everything")
    parser.add_argument("--list", action="store_true", help="list the parts")
    parser.add_argument("--quick", action="store_true", help="measure on less: a minute or two for everything")
    parser.add_argument("--publish", action="store_true", help=f"write the figures into {PAGE}, all parts of them")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(PARTS))
        return 0
    unknown = [name for name in chosen.parts if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if chosen.publish and chosen.parts:
        print("--publish is for all parts: name none", file=sys.stderr)
        return 2
    try:
        return asyncio.run(
            _ended_in_order(
                _measure(chosen.parts or list(PARTS), quick=chosen.quick, page=PAGE if chosen.publish else None)
            )
        )
    except asyncio.CancelledError:
        print("stopped: nothing was published", file=sys.stderr)
        return 1


async def _ended_in_order(measuring: Coroutine[Any, Any, int]) -> int:
    """Let Ctrl-C and SIGTERM end the processes that are measured, too."""
    task = asyncio.ensure_future(measuring)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


async def _measure(names: list[str], *, quick: bool, page: Path | None) -> int:
    """Measure, print and keep; returns the exit code."""
    console = Console()
    work = (FOLDER / "work").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    facts = machine(work)
    for name, fact in facts.items():
        console.print(f"{name:12} {fact}", highlight=False)
    began = time.monotonic()
    reports: list[Report] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            async with asyncio.timeout(PART_SECONDS):
                report = await PARTS[name](work, quick)
        except Exception as error:
            # One part that cannot be measured must not take the others with it; the run fails at its end.
            failed[name] = f"{type(error).__name__}: {error}" if str(error) else repr(error)
            console.print(f"\n[bold red]{name} could not be measured[/]: {escape(failed[name])}")
            (FOLDER / f"{name}.error").write_text(traceback.format_exc())
            continue
        show(report, console)
        reports.append(report)
        _keep(facts, reports, failed)
        shutil.rmtree(work / name, ignore_errors=True)
    _keep(facts, reports, failed)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    how = "taken quickly, on less than a whole run measures," if quick else "taken"
    closing = f"{how} in {time.monotonic() - began:.0f} s; load afterwards: {load}"
    console.print(f"\n{closing}; the figures are also in {FOLDER / 'report.json'}")
    wrong = [f"{report.part}: {each}" for report in reports for each in report.wrong]
    for text in (*wrong, *(f"{name} was not measured: {why}" for name, why in failed.items())):
        console.print(f"[bold red]failed[/] {escape(text)}")
    if wrong or failed:
        console.print(f"what the processes wrote is in {work}")
        return 1
    shutil.rmtree(work, ignore_errors=True)
    if page is not None:
        try:
            publish(page, markdown(facts, reports, closing))
        except NotPublishable as error:
            console.print(f"[bold red]failed[/] {escape(str(error))}")
            return 1
        console.print(f"published in {page}")
    return 0


def _keep(facts: Mapping[str, str], reports: list[Report], failed: Mapping[str, str]) -> None:
    found = {"machine": dict(facts), "parts": [each.as_json() for each in reports], "failed": dict(failed)}
    (FOLDER / "report.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
