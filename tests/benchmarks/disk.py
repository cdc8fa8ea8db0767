"""What an fsync costs on this disk just now: it varies a hundredfold within an hour, so each part measures it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.sample import percentile

APPENDS = 200
BYTES = 4096


@dataclass(frozen=True, slots=True)
class Probe:
    """Milliseconds of one append of 4 KiB and its fsync."""

    p50: float
    p99: float

    def __str__(self) -> str:
        return f"fsync probe: p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms ({APPENDS} appends of {BYTES} bytes)"


def probe(folder: Path) -> Probe:
    """Append and fsync a file in a folder, one after the other."""
    path = folder / "fsync.probe"
    block = os.urandom(BYTES)
    times: list[float] = []
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
    try:
        for _ in range(APPENDS):
            began = time.perf_counter()
            os.write(handle, block)
            os.fsync(handle)
            times.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(handle)
        path.unlink()
    return Probe(percentile(times, 50), percentile(times, 99))
