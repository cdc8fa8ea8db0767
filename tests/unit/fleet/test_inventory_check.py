"""What a host says of itself: what does not fit is left out and named, and the session goes on."""

import json
from typing import Any

import pytest
from pilotage_coordinator.domain.fleet import HostInventory
from pilotage_coordinator.fleet.inventory_check import AGENT, DEEPEST, LONGEST_TEXT, MOST_STEP_TYPES
from pilotage_coordinator.fleet.wire import read_items
from pilotage_proto.limits import LARGEST_JSON
from pilotage_proto.v1 import fleet_pb2 as pb

GOOD: dict[str, Any] = {
    "name": "command.run",
    "effect": "once",
    "author_effects": ["read"],
    "distribution": "pilotage",
    "version": "1.0.0",
    "destructive": False,
    "params_schema": {"type": "object"},
}


def report(facts: Any = None, step_types: Any = None, quarantined: Any = None) -> HostInventory:
    def raw(value: Any) -> bytes:
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    item = pb.AgentItem(
        inventory=pb.Inventory(
            facts=raw(facts or {}), step_types=raw(step_types or []), quarantined=raw(quarantined or [])
        )
    )
    (found,) = read_items([item])
    assert isinstance(found, HostInventory)
    return found


def reason(found: HostInventory) -> str:
    return "".join(str(each["reason"]) for each in found.quarantined if each["distribution"] == AGENT)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"x": value}
    return value


def test_what_is_well_comes_through_unmarked() -> None:
    plugin = {"distribution": "acme", "reason": "it does not load"}
    found = report({"os": {"name": "debian"}}, [GOOD], [plugin])
    assert (found.facts, found.step_types, found.quarantined) == ({"os": {"name": "debian"}}, (GOOD,), (plugin,))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": None}, "area.verb"),
        ({"available": "no"}, "neither true nor false"),
        ({"reason": ["x"]}, "its reason is no text"),
        ({"name": "../../etc"}, "area.verb"),
        ({"name": "a." + "b" * 200}, "area.verb"),
        ({"effect": "always"}, "effects are not among"),
        ({"effect": ["once"]}, "effects are not among"),
        ({"author_effects": "read"}, "effects are not among"),
        ({"author_effects": [{}]}, "effects are not among"),
        ({"version": 3}, "no short text"),
        ({"distribution": "x" * 500}, "no short text"),
        ({"destructive": "no"}, "neither true nor false"),
        ({"params_schema": []}, "a schema is no object"),
        ({"params_schema": nested(DEEPEST)}, "nested"),
        ({"name": "backup.create"}, "announced twice"),
    ],
)
def test_a_step_type_that_does_not_fit_is_left_out_and_named_and_the_others_stay(
    wrong: dict[str, Any], text: str
) -> None:
    first = {**GOOD, "name": "backup.create"}
    found = report({"n": 1}, [first, {**GOOD, **wrong}, {**GOOD, "name": "http.check"}])
    assert [each["name"] for each in found.step_types] == ["backup.create", "http.check"]
    assert found.facts == {"n": 1}
    assert text in reason(found)


@pytest.mark.parametrize(
    ("facts", "text"),
    [(nested(DEEPEST + 1), "nested"), (b"[]", "no JSON object"), (b"{", "no JSON"), (b"[" * 100_000, "no JSON")],
)
def test_facts_that_do_not_fit_are_left_out_and_the_step_types_stay(facts: Any, text: str) -> None:
    found = report(facts, [GOOD])
    assert (found.facts, found.step_types) == ({}, (GOOD,))
    assert text in reason(found)


@pytest.mark.parametrize("step_types", [b"{}", b"[1]", b"[" * 100_000, b" " * (LARGEST_JSON + 1)])
def test_step_types_that_cannot_be_read_are_none(step_types: bytes) -> None:
    found = report({"n": 1}, step_types, b"no json either")
    assert (found.facts, found.step_types) == ({"n": 1}, ())
    assert "inventory.step_types" in reason(found)
    assert "inventory.quarantined" in reason(found)


def test_many_and_long_words_are_bounded() -> None:
    types = [{**GOOD, "name": f"a.b{number}"} for number in range(MOST_STEP_TYPES + 50)]
    found = report({}, types, [{"distribution": "d" * 9_999, "reason": {"r": "r" * 9_999}}] * 1_000)
    assert len(found.step_types) == MOST_STEP_TYPES
    assert len(found.quarantined) <= 101
    assert all(len(str(each["reason"])) <= LONGEST_TEXT for each in found.quarantined)
