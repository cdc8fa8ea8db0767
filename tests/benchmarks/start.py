"""How long a coordinator takes from the start of its process until its gRPC ports serve."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.certificates import make_certificates
from tests.benchmarks.figure import Figure, Report
from tests.benchmarks.sample import cpu_seconds
from tests.benchmarks.site import a_site

STARTS = 5


async def measure(folder: Path, quick: bool = False) -> Report:
    """Start it again and again over the same state; the ceiling is a process with a bare grpc.aio mTLS server."""
    starts = 2 if quick else STARTS
    times: list[float] = []
    cpu: list[float] = []
    async with a_site(folder / "start" / "site") as site:
        for _ in range(starts):
            site.stop_coordinator()
            site.launch()
            times.append(await site.serving())
            assert site.coordinator is not None
            cpu.append(cpu_seconds(site.coordinator.pid))
            await site.answering()
    bare = folder / "start" / "bare"
    bare.mkdir()
    make_certificates(bare)
    ceilings = [await _bare_start(bare) for _ in range(starts)]
    note = f"median of {starts}, least {min(times):.2f}"
    figures = [
        Figure("process start to gRPC serving", median(times), "s", median(ceilings), "<= 0.6 s", note),
        Figure("CPU time until then", median(cpu), "s"),
    ]
    return Report("start", "Start of the coordinator", figures, ("ceiling: import and serve grpc.aio with mTLS",))


async def _bare_start(folder: Path) -> float:
    (folder / "bare.db").unlink(missing_ok=True)
    began = time.monotonic()
    program = [sys.executable, "-m", "tests.benchmarks.bare", "serve", str(folder)]
    server = await asyncio.create_subprocess_exec(*program, stdout=subprocess.PIPE)
    assert server.stdout is not None
    await server.stdout.readline()
    took = time.monotonic() - began
    server.terminate()
    await server.wait()
    return took
