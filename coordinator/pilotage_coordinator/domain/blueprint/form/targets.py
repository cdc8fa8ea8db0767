"""How targets, requirements, locks and windows are written."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.form.scalars import (
    ID,
    LONE_EXPRESSION_PATTERN,
    NAME,
    TYPE_PATTERN,
    Condition,
    Duration,
    Flag,
    Matching,
    Number,
    OneOf,
    Share,
    Text,
)
from pilotage_coordinator.domain.blueprint.form.shapes import INVALID, Either, Field, ListOf, MapOf, Reading, Record
from pilotage_coordinator.domain.blueprint.nodes import MapNode
from pilotage_coordinator.domain.blueprint.parameter_values import HOST_NAME
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.blueprint.targets import Lock, Requires, Targets, Windows

_HOST: Final = Matching(rf"(?:{HOST_NAME.pattern})|.*\$\{{\{{.*", "host name", "a name, or a template that gives one")
_EXCLUDED: Final = Matching(HOST_NAME.pattern, "host name")
_FIELD: Final = Matching(
    r"(?:host\.)?[A-Za-z_][A-Za-z0-9_.-]{0,252}", "field of a host", "such as name or host.labels.rack"
)
NUMBERS: Final = MapOf(NAME, Number(whole=False))


def _build_targets(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    ways = [each for each in ("select", "hosts", "from") if node.get(each) is not None]
    if len(ways) != 1:
        said = "and ".join(f"`{each}` " for each in ways) or "none of them "
        return reading.refuse(node, path, f"targets take one of select, hosts and from, not {said}".rstrip())
    hosts: Any = given.pop("hosts", ())
    expression: str | None = None
    if isinstance(hosts, str):
        if re.fullmatch(LONE_EXPRESSION_PATTERN, hosts, re.DOTALL):
            hosts, expression = (), hosts.strip()
        else:
            hosts = (hosts,)
    elif "hosts" in ways and not hosts:
        return reading.refuse(node.get("hosts") or node, (*path, "hosts"), "this list of hosts is empty")
    order = given.pop("order", "name").removeprefix("host.")
    return Targets(
        hosts=hosts, hosts_expression=expression, from_step=given.pop("from", None), order=order, at=node.at, **given
    )


TARGETS: Final = Record(
    "targets",
    {
        "select": Field(Condition(), "A condition over `parameters` and `host`, asked of every host."),
        "hosts": Field(Either(_HOST, ListOf(_HOST), None, "host names"), "Host names, or an expression for them."),
        "from": Field(ID, "The hosts on which this step succeeded."),
        "exclude": Field(ListOf(_EXCLUDED), "Hosts to leave out."),
        "limit": Field(Share(least=1), "At most so many hosts, or this share of them."),
        "order": Field(_FIELD, "name, random, or a field of host."),
    },
    _build_targets,
)


def _build_requires(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    least, most = given.pop("hosts", (None, None))
    return Requires(min_hosts=least, max_hosts=most, at=node.at, **given)


def _build_bounds(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    least, most = values.get("min"), values.get("max")
    if least is not None and most is not None and least > most:
        return reading.refuse(node, path, f"min {least} is above max {most}")
    return least, most


REQUIRES: Final = Record(
    "requirement",
    {
        "hosts": Field(
            Record("number of hosts", {"min": Field(Number()), "max": Field(Number())}, _build_bounds),
            "How many targets there must be.",
        ),
        "all_online": Field(Flag(), "Every target must be online."),
        "capabilities": Field(
            ListOf(Matching(TYPE_PATTERN, "step type name")), "Step types that every target must be able to run."
        ),
        "backup_within": Field(Duration(1), "The newest good backup is younger.", feature="backup_within"),
        "that": Field(ListOf(Condition()), "Conditions over parameters, hosts and targets."),
    },
    _build_requires,
)


def _build_lock(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return Lock(values["name"], values.get("mode", "exclusive") == "exclusive", at=node.at)


class LockName:
    """A lock written as its name alone: exclusive."""

    def read(self, node: Any, path: Path, reading: Reading) -> Any:
        """Return the lock."""
        name = Text(512, empty=False).read(node, path, reading)
        return name if name is INVALID else Lock(name, at=node.at)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "minLength": 1}


LOCK: Final = Either(
    LockName(),
    None,
    Record(
        "lock",
        {
            "name": Field(Text(512, empty=False), "What is reserved; a template.", required=True),
            "mode": Field(OneOf(("exclusive", "shared")), "Alone, or beside other shared holders."),
        },
        _build_lock,
    ),
    "a name, or {name, mode}",
)
LOCKS: Final = ListOf(LOCK, least=1)

CAPACITY: Final = MapOf(NAME, Either(Text(512, empty=False), None, None, "an amount"))


def _build_windows(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return Windows(at=node.at, **values)


WINDOWS: Final = Record(
    "maintenance window",
    {
        "names": Field(ListOf(Text(512, empty=False), least=1), "Names of windows, or templates.", required=True),
        "on_closed": Field(OneOf(("wait", "fail")), "What to do outside of them."),
        "gate": Field(OneOf(("start", "batch", "step")), "What they gate."),
    },
    _build_windows,
)
