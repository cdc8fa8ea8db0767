"""A crash at every await: quiet histories in which one process ends at its n-th step, for each n."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.simulation import Crash, simulate

SOME = 7
EVERY = 1 if os.environ.get("CI") else SOME
STRIDES = {3: EVERY, 4: SOME, 8: SOME}
"""Seeds, and which of their steps: in CI one has every step; elsewhere all have some."""
CHUNK = 40
NEVER = 10**9


def violations(seed: int, of: str, power: bool, steps: range) -> list[str]:
    """Run the histories of one seed in which a process ends at one of the steps; return what was broken."""
    return [
        f"seed {seed}, {of} ends at step {step}{' with its machine' if power else ''}: {each}"
        for step in steps
        for each in simulate(seed, Crash(of, step, power)).violations
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("seed", "stride"), STRIDES.items())
def test_a_crash_at_any_await_breaks_no_invariant(seed: int, stride: int) -> None:
    quiet = simulate(seed, Crash("coordinator", NEVER))
    assert not quiet.violations
    cases = [
        (seed, of, power, range(first, min(first + CHUNK * stride, steps + 1), stride))
        for of, steps in quiet.steps.items()
        for power in ((False,) if of == "coordinator" else (False, True))
        for first in range(1, steps + 1, CHUNK * stride)
    ]
    assert sum(len(case[3]) for case in cases) * stride > 400
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = [each for done in [pool.submit(violations, *case) for case in cases] for each in done.result()]
    assert not found, "\n".join(found)
