"""The command line's `-l`."""

import pytest
from pilotage_coordinator.domain.planning.errors import SelectorRefused
from pilotage_coordinator.domain.planning.selector import parse_selector

from tests.unit.planning.fleet import host

FLEET = (
    host("db1", labels={"role": "db", "env": "prod"}, environment="x"),
    host("db2", labels={"role": "db"}, environment="prod"),
    host("web1", labels={"role": "web", "name": "db1"}, environment="test", address="10.0.0.1"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("role=db", ["db1", "db2"]),
        ("role==db", ["db1", "db2"]),
        (" role = db , name != db1 ", ["db2"]),
        ("role=db|web", ["db1", "db2", "web1"]),
        ("role!=db|web", []),
        ("name~db*", ["db1", "db2"]),
        ("name!~*1", ["db2"]),
        ("name=db1", ["db1"]),
        ("env=prod", ["db1", "db2"]),
        ("env!=prod", ["web1"]),
        ("environment=test", ["web1"]),
        ("address~10.*", ["web1"]),
        ("rack=1", []),
        ("rack!=1", ["db1", "db2", "web1"]),
        ("name~db[12]", ["db1", "db2"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert list(parse_selector(text).names(FLEET)) == expected


@pytest.mark.parametrize("text", ["", "db1", "role=", "=db", "role=db,", "role=a||b", "role>3", ","])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SelectorRefused, match="write it as role=db"):
        parse_selector(text)
