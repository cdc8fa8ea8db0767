"""Many histories of the whole system under one virtual clock: none breaks an invariant, and each can be told again.

`PILOTAGE_SEEDS` says how many; without it 2,000 in CI (`CI=true`) and 200 elsewhere. A bad one is told by
`python -m tests.simulation SEED`.
"""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.simulation import simulate

COUNT = int(os.environ.get("PILOTAGE_SEEDS") or ("2000" if os.environ.get("CI") else "200"))
CHUNK = 25

KEPT = (5019, 44, 75, 90, 110, 122, 182, 232, 273, 294, 343, 504, 1071)
"""Seeds that have found a defect, as the histories were then.

5019: an attempt stopped before it was sent lost its result. 110: an attempt was sent under an old epoch after a full
disk; 294: so was a cancel. 75, 232: nobody told an execution of its host that came while it was being stored. 273: a
write that landed and was reported as failed was not looked at again. 90: an attempt whose start was lost with the
power, and whose acceptance was not, waited for ever. 343: a health gate believed a check from before a pause. 44, 122:
a host was quarantined for a greeting that came late, of an agent that had been killed. 504: a vote stood on a role
that its person was not in. 1071: a request for approval was neither open nor over when its time ended in a pause. 182:
a rollback that paused, for a plugin had changed on a host, could be neither resumed nor cancelled once it was approved.
"""

OPEN = {
    711: "a host whose disk was full could not forget an attempt that it had declined, and was killed: its journal"
    " holds the acceptance until it joins anew. Nothing begins by it, and nobody tells the host to forget it"
}
"""Seeds whose defect is known and not mended. Whoever mends it takes it from here: its test fails then."""


def violations(first: int) -> list[str]:
    """Run a chunk of seeds and return what was broken."""
    seeds = [seed for seed in range(first, first + CHUNK) if seed not in OPEN]
    return [f"seed {seed}: {each}" for seed in seeds for each in simulate(seed).violations]


@pytest.mark.timeout(1500)
def test_no_history_breaks_an_invariant() -> None:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = [each for chunk in pool.map(violations, range(0, COUNT, CHUNK)) for each in chunk]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.xfail(strict=True, reason=why)) for seed, why in OPEN.items()]
)
def test_a_seed_of_a_known_defect_still_finds_it(seed: int) -> None:
    assert not simulate(seed).violations


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_once_found_a_defect_finds_none_now(seed: int) -> None:
    assert not simulate(seed).violations


def test_one_seed_tells_one_history_in_every_process() -> None:
    """Also where strings hash differently."""
    seeds = ["1", "2", "3"]
    told = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--digest", *seeds],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        told.add(done.stdout)
    assert len(told) == 1
    assert len(told.pop().split()) == len(seeds)
