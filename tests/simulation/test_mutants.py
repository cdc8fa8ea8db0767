"""Every mutant of the list is found, and the history that finds it is blameless without it."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from pilotage_agent import ledger

from tests.simulation.mutants import MUTANTS, Mutant, search
from tests.simulation.simulation import simulate

INVARIANTS = {
    *("1", "2", "3", "4", "5", "6", "7", "10", "12"),
    *("rollout", "place", "batch", "health", "pause", "drift", "refused", "recovery"),
}
"""Those of docs/testing.md that the simulation checks."""


def found(name: str) -> tuple[int, tuple[str, ...]]:
    """Return the seed that finds a mutant, -1 for none, and what that seed breaks without the mutant."""
    mutant = next(each for each in MUTANTS if each.name == name)
    seed = search(mutant)
    return seed, simulate(seed, restored=mutant.restored).violations if seed >= 0 else ()


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.timeout(900)
def test_every_mutant_is_found(pool: ProcessPoolExecutor) -> None:
    names = [mutant.name for mutant in MUTANTS]
    results = dict(zip(names, pool.map(found, names), strict=True))
    assert [name for name, (seed, _) in results.items() if seed < 0] == []
    assert {name: bad for name, (_, bad) in results.items() if bad} == {}


def test_there_are_many_mutants_and_each_has_a_name() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_every_invariant_is_broken_by_some_mutant() -> None:
    assert {number for mutant in MUTANTS for number in mutant.breaks} >= INVARIANTS


def test_a_mutant_without_a_target_is_an_error() -> None:
    mutant = Mutant("of nothing", 0, ("1",), lambda patches: patches.drop(ledger, "no_such_function"))
    with pytest.raises(AttributeError, match="no_such_function"), mutant.alive():
        pass


def test_a_mutant_is_gone_when_it_is_not_alive() -> None:
    before = ledger._behind_a_fence
    mutant = next(each for each in MUTANTS if each.name == "settled attempts are forgotten")
    with mutant.alive():
        assert ledger._behind_a_fence is not before
    assert ledger._behind_a_fence is before
