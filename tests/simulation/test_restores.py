"""A coordinator whose disk is restored from a copy: what the copy does not know is never done again."""

import pytest

from tests.simulation.simulation import simulate


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_nothing_is_repeated_after_a_restore(first: int) -> None:
    bad = {seed: simulate(seed, restored=True).violations for seed in range(first, first + 10)}
    assert {seed: found for seed, found in bad.items() if found} == {}
