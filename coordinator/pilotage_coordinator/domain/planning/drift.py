"""What differs between two plans, or between a plan and a host as it is now: for messages, never for the decision.

The decision is the digest's. These words say why two digests differ.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Place, Plan, PlannedStep
from pilotage_coordinator.domain.planning.codec import content

MOST_DIFFERENCES: Final = 20


def differences(approved: Plan, fresh: Plan) -> tuple[str, ...]:
    """Return up to 20 lines that say where the content of two plans differs; none when their digests are equal."""
    return tuple(islice(_differ("", content(approved), content(fresh)), MOST_DIFFERENCES))


def host_drift(step: PlannedStep, host: Host) -> str:
    """Return why the host cannot run the step as it was planned; "" when it can. For the check at each dispatch."""
    if step.type is None or step.place is Place.COORDINATOR:
        return ""
    planned = step.type_on.get(host.name, step.type)
    info = host.step_types.get(planned.name)
    if info is None:
        return f"{host.name} cannot run {planned.name} any more"
    if info.digest != planned.schema_digest:
        return f"the parameters of {planned.name} on {host.name} are of another form than planned"
    if (info.distribution, info.version) != (planned.distribution, planned.version):
        was, now = f"{planned.distribution} {planned.version}", f"{info.distribution} {info.version}"
        return f"{planned.name} on {host.name} comes from {now}, planned was {was}"
    return ""


def _differ(place: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{place}.{key}" if place else key
            if key not in new:
                yield f"{inner}: gone (was {_short(old[key])})"
            elif key not in old:
                yield f"{inner}: new ({_short(new[key])})"
            else:
                yield from _differ(inner, old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differ(f"{place}[{_label(one, index)}]", one, other)
    elif isinstance(old, list) and isinstance(new, list):
        yield f"{place}: {_lists(old, new)}"
    else:
        yield f"{place}: was {_short(old)}, is {_short(new)}"


def _label(value: Any, index: int) -> str:
    path = value.get("path") if isinstance(value, Mapping) else None
    return str(path) if path is not None else str(index)


def _lists(old: list[Any], new: list[Any]) -> str:
    gone = [_short(each) for each in old if each not in new]
    added = [_short(each) for each in new if each not in old]
    return "; ".join(
        f"{word}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for word, names in (("gone", gone), ("new", added))
        if names
    )


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "path" in value:
        return str(value["path"])
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
