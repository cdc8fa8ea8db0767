"""What a plan's loops go over, and the values that its steps are given, host by host."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilotage_client.answers import PlannedHost, PlanStep

MOST_HOSTS = 12
"""Hosts shown of one step before the rest is counted."""
MOST_ITEMS = 12
MOST_LETTERS = 100


def counted(number: int, noun: str) -> str:
    """Return how many there are of something, in words."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def host_names(hosts: list[str]) -> str:
    """Return the names of hosts; of very many, the first and how many more there are."""
    return _some(hosts, MOST_HOSTS)


def loop_text(step: PlanStep) -> str:
    """Return how many items a step goes over, or may; empty without a loop."""
    if not step["loops"]:
        return ""
    known = sum(len(each["items"] or []) for each in step["hosts"])
    if not step["max_items"]:
        return f"for each of {counted(known, 'item')}"
    bound = f"up to {step['max_items']} items, known at run time"
    return f"for each of {counted(known, 'item')}, elsewhere {bound}" if known else f"for each of {bound}"


def item_lines(step: PlanStep) -> Iterator[str]:
    """Yield the known items of a loop, a line for each host; hosts with the same items share one."""
    by_items: dict[tuple[str, ...], list[str]] = {}
    for each in step["hosts"]:
        if each["items"] is not None:
            by_items.setdefault(tuple(item["key"] for item in each["items"]), []).append(each["host"])
    for number, (items, hosts) in enumerate(by_items.items()):
        if number == MOST_HOSTS:
            yield f"… and {counted(len(by_items) - number, 'more host')}"
            return
        yield f"{host_names(hosts) or 'coordinator'}: {_some(list(items), MOST_ITEMS) or 'nothing'}"


def value_lines(step: PlanStep) -> Iterator[str]:
    """Yield every value that a step is given: once where it is the same for all, else host by host, item by item."""
    hosts = [each for each in step["hosts"] if not each["skipped"]]
    known = {name for each in hosts for name in _names(each)}
    shared = {name: value for name, value in step["parameters"].items() if name not in known}
    if hosts:
        shared |= {
            name: value
            for name, value in hosts[0]["parameters"].items()
            if all(name in each["parameters"] and each["parameters"][name] == value for each in hosts)
        }
    yield from _assigned("", shared)
    for host in hosts:
        name = host["host"] or "coordinator"
        yield from _assigned(f"{name}: ", {each: of for each, of in host["parameters"].items() if each not in shared})
        for item in host["items"] or []:
            yield from _assigned(f"{name}[{item['key']}]: ", item["parameters"])


def _names(host: PlannedHost) -> Iterator[str]:
    yield from host["parameters"]
    for item in host["items"] or []:
        yield from item["parameters"]


def _assigned(place: str, values: Mapping[str, Any]) -> Iterator[str]:
    return (f"{place}{name} = {value_text(value)}" for name, value in sorted(values.items()))


def value_text(value: object) -> str:
    """Return a value in one line: what nobody is shown as such, and what only run time knows as it is written."""
    plain = _unmarked(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"sensitive"}:
            return "<sensitive>"
        if value.keys() == {"run_time"}:
            return value["run_time"]
        return {name: _unmarked(each) for name, each in value.items()}
    return [_unmarked(each) for each in value] if isinstance(value, list) else value


def _some(texts: list[str], most: int) -> str:
    shown = ", ".join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown
