"""How quickly steps follow each other, from the times at which they were assigned and finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.benchmarks.sample import percentile

WARM_UP = 0.1
"""Share of the steps at the beginning that are not counted; and half of that at the end, when agents run dry."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Steps a second, and milliseconds from one assignment of an agent to its next: sent, journaled, done, reported,
    stored and decided."""

    rate: float
    p50: float
    p99: float
    cpu: tuple[float, float]
    """Milliseconds of CPU time of one step: the coordinator's, and the agents' with their workers."""


def pace(assigned: Sequence[Sequence[int]], finished: Sequence[int], cpu: tuple[float, float]) -> Pace:
    """Return the pace of agents whose steps were assigned and finished at these times (microseconds).

    `cpu`: the seconds of CPU time that the coordinator and the agents used for all of them.
    """
    ends = sorted(finished)
    counted = ends[int(len(ends) * WARM_UP) : len(ends) - int(len(ends) * WARM_UP / 2)]
    first, last = counted[0], counted[-1]
    cycles = [
        (later - earlier) / 1000
        for times in assigned
        for earlier, later in pairwise(times)
        if first <= earlier and later <= last
    ]
    rate = (len(counted) - 1) / (last - first) * 1e6
    each = (cpu[0] / len(ends) * 1000, cpu[1] / len(ends) * 1000)
    return Pace(rate, percentile(cycles, 50), percentile(cycles, 99), each)
