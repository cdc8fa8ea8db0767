"""A host that has joined and has not connected yet."""

import pytest

from tests.e2e.conftest import MakeFleet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_it_is_planned_for_from_the_moment_it_has_joined(make_fleet: MakeFleet) -> None:
    fleet = make_fleet("one", "late", start=False)
    fleet.start_coordinator()
    fleet.join("one")
    fleet.await_online(["one"])
    fleet.enrol("late")
    assert {each["name"]: each["state"] for each in fleet.list_hosts()} == {"one": "online", "late": "offline"}
    # What it can do is known once it has said so; that it is there, at once.
    said = fleet.run("exec", "-l", "name=late", "--yes", "--", "true", check=False).stderr
    assert "no host fulfils" not in said
    assert "late" in said
