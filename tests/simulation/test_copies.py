"""A host whose disk was copied: both machines live, so both are kept away, and nothing starts on the two of them."""

import pytest

from tests.simulation.simulation import simulate


@pytest.mark.parametrize("seed", range(12))
def test_two_agents_under_one_identity_are_quarantined_and_start_nothing_twice(seed: int) -> None:
    assert not simulate(seed, copied=True).violations
