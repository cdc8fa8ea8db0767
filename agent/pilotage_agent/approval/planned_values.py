"""Whether parameters are those that the plan says: value by value, as strictly as it can be known. Pure.

What the plan could not know (`{"run_time": …}`) is the coordinator's word alone, so it counts only where this host's
own settings let it. What it must not show (`{"sensitive": …}`) can only be a reference to a secret.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pilotage_proto.canonical import CanonicalError, digest

from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.approval.plan_slice import PlannedStep

ITEM: Final = "item"
"""What a run-time loop's item is called in `run_time_values`, beside the names of parameters."""
_EXPRESSION: Final = "{{"
_SECRET: Final = "secret://"  # noqa: S105 - the form of a name
_SHOWN: Final = 100


def check_parameters(step: PlannedStep, path: str, item: str, parameters: bytes, free: Callable[[str], bool]) -> None:
    """Check the parameters of an attempt. `free`: whether this host lets a parameter be known at run time only.

    Raises Unapproved that names the first one that is not as planned.
    """
    given = _read(parameters)
    if step.own.get("when") is False or step.common.get("when") is False:
        raise Unapproved(f"{path} was not to run here: its condition did not hold when the plan was made")
    known = _known(step, path, item, free)
    if given.keys() != step.parameters.keys():
        odd = ", ".join(sorted(given.keys() ^ step.parameters.keys()))
        raise Unapproved(f"{path} was planned with other parameters ({odd})")
    for name, written in step.parameters.items():
        if name in step.files:
            _check_file(path, name, written, step.files[name], given[name])
        elif name in known:
            _check(path, name, known[name], given[name], free(name))
        elif _has_expression(written):
            _check(path, name, {"run_time": ""}, given[name], free(name))
        elif not _same(written, given[name]):
            raise Unapproved(_other(path, name, given[name], written))


def _known(step: PlannedStep, path: str, item: str, free: Callable[[str], bool]) -> dict[str, Any]:
    """Return what expressions come to for an item, after checking that it is one of the plan's."""
    known: dict[str, Any] = {}
    listed = False
    for part in (step.common, step.own):
        known.update(part.get("parameters", {}))
        items = part.get("items")
        if items is None:
            continue
        listed = True
        if item not in items:
            raise Unapproved(f"{path} was not planned for the item {item[:_SHOWN]!r}")
        of_items = part.get("item_parameters", [])
        if of_items:
            known.update(of_items[items.index(item)])
    if not step.loops and item:
        raise Unapproved(f"{path} was planned without items, and came with {item[:_SHOWN]!r}")
    if step.loops and not listed and not free(ITEM):
        raise Unapproved(f"the items of {path} were not known when it was planned. {_cure(ITEM)}")
    return known


def _check(path: str, name: str, planned: Any, given: Any, free: bool) -> None:
    if not _agrees(planned, given, free):
        if not free and _unknown(planned):
            raise Unapproved(
                f"nobody could know the parameter {name} of {path} when it was approved (now {_short(given)})."
                f" {_cure(name)}"
            )
        raise Unapproved(_other(path, name, given, planned))


def _agrees(planned: Any, given: Any, free: bool) -> bool:
    if isinstance(planned, Mapping):
        if planned.keys() == {"run_time"}:
            return free
        if planned.keys() == {"sensitive"}:
            return isinstance(given, str) and given.startswith(_SECRET)
        if not isinstance(given, Mapping) or planned.keys() != given.keys():
            return False
        return all(_agrees(each, given[key], free) for key, each in planned.items())
    if isinstance(planned, list):
        if not isinstance(given, list) or len(planned) != len(given):
            return False
        return all(_agrees(one, other, free) for one, other in zip(planned, given, strict=True))
    return _same(planned, given)


def _same(planned: Any, given: Any) -> bool:
    """Return whether two JSON values are the same; `true` is not 1, 2.0 is 2."""
    if isinstance(planned, Mapping) and isinstance(given, Mapping):
        return planned.keys() == given.keys() and all(_same(each, given[key]) for key, each in planned.items())
    if isinstance(planned, list) and isinstance(given, list):
        return len(planned) == len(given) and all(_same(one, other) for one, other in zip(planned, given, strict=True))
    if isinstance(planned, bool) or isinstance(given, bool):
        return planned is given
    if isinstance(planned, str) or isinstance(given, str):
        return isinstance(planned, str) and isinstance(given, str) and planned == given
    return bool(planned == given)


def _unknown(planned: Any) -> bool:
    if isinstance(planned, Mapping):
        return planned.keys() == {"run_time"} or any(_unknown(each) for each in planned.values())
    return isinstance(planned, list) and any(_unknown(each) for each in planned)


def _check_file(path: str, name: str, written: Any, key: str, given: Any) -> None:
    """Check a file of the blueprint: its name, and the digest of its text."""
    match given:
        case {"name": str(said), "text": str(text), **more} if not more:
            if said == written and _is_text(text, key):
                return
    raise Unapproved(f"the file that {path} got as {name} is not the one that was approved")


def _is_text(text: str, key: str) -> bool:
    try:
        return digest(text) == key
    except CanonicalError:
        return False


def _has_expression(value: Any) -> bool:
    if isinstance(value, str):
        return _EXPRESSION in value
    if isinstance(value, Mapping):
        return any(_has_expression(key) or _has_expression(each) for key, each in value.items())
    return isinstance(value, list) and any(_has_expression(each) for each in value)


def _read(parameters: bytes) -> dict[str, Any]:
    try:
        given = json.loads(parameters or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise Unapproved("its parameters are no JSON object")
    return given


def _other(path: str, name: str, given: Any, planned: Any) -> str:
    return f"the parameter {name} of {path} is {_short(given)}, planned was {_short(planned)}: plan again"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _cure(name: str) -> str:
    return (
        "Write it so that the plan knows it, or let this host take it on the coordinator's word:"
        f' agent.toml: run_time_values = ["STEP.TYPE:{name}"]'
    )
