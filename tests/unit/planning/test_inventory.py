"""The inventory, and marks for sensitive values."""

from dataclasses import replace

import pytest
from pilotage_coordinator.domain.inventory import Inventory, host_scope
from pilotage_coordinator.domain.planning.masking import mask

from tests.unit.planning.fleet import KEY, STEP_TYPES, host


def test_hosts_stand_by_name_in_order() -> None:
    inventory = Inventory([host("b"), host("a")])
    assert inventory.names == ("a", "b")
    assert list(inventory) == ["a", "b"]
    assert inventory["a"].id == "hst_a"
    assert "c" not in inventory
    assert len(inventory) == 2


def test_two_hosts_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two hosts are named a"):
        Inventory([host("a"), host("a")])


def test_expressions_see_a_host_as_the_language_says() -> None:
    scope = host_scope(host("a", vars={"x": [1]}, facts={"cpu": 2}, environment="prod", online=False))
    assert scope == {
        "name": "a",
        "address": "a.example.org",
        "labels": {"role": "db"},
        "vars": {"x": [1]},
        "facts": {"cpu": 2},
        "capabilities": sorted(STEP_TYPES),
        "environment": "prod",
        "online": False,
    }
    assert Inventory([host("a")]).scopes["a"]["name"] == "a"


def test_what_is_not_available_is_no_capability() -> None:
    broken = replace(STEP_TYPES["backup.create"], available=False, reason="restic is not installed")
    mute = replace(STEP_TYPES["http.check"], available=False)
    one = host("a", step_types={**STEP_TYPES, "backup.create": broken, "http.check": mute})
    assert set(STEP_TYPES) - set(one.capabilities) == {"backup.create", "http.check"}
    assert one.why_not("backup.create") == "restic is not installed"
    assert one.why_not("http.check") == "its agent does not say why"
    assert (one.why_not("file.write"), one.why_not("none.such")) == ("", "")


def test_a_mark_depends_on_key_place_and_value() -> None:
    marks = [
        mask(KEY, "a", "x"),
        mask(KEY, "a", "y"),
        mask(KEY, "b", "x"),
        mask(KEY[::-1], "a", "x"),
    ]
    assert len({each["sensitive"] for each in marks}) == 4
    assert mask(KEY, "a", {"b": 1, "a": 2}) == mask(KEY, "a", {"a": 2, "b": 1})


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes, at least 32"):
        mask(b"k" * 31, "a", "x")
