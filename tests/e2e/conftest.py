"""Fleets for the tests of whole processes: one for a module where tests do not hurt each other."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fleet.fleet import Fleet

MakeFleet = Callable[..., Fleet]


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    """Give a maker of fleets that are stopped, and whose books are compared, when the test ends."""
    made: list[Fleet] = []

    def make(*hosts: str, start: bool = True, folder: Path | None = None) -> Fleet:
        fleet = Fleet(folder or tmp_path / f"fleet{len(made)}", hosts)
        made.append(fleet)
        if start:
            fleet.start_coordinator()
            for host in hosts:
                fleet.join(host)
            fleet.await_online()
        return fleet

    yield make
    for fleet in made:
        fleet.stop()
