"""What differs between a plan and a host, or a value, as it is now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Json, Place, Plan, PlannedStep
from pilotage_coordinator.domain.planning.planned_values import PlannedValues
from pilotage_coordinator.domain.planning.shortened import shortened

_MARKS: Final = ({"run_time"}, {"sensitive"})
"""What stands in a plan for a value that it does not hold."""


@dataclass(frozen=True, slots=True)
class HostDrift:
    """What has changed on a host, or of a value, since a plan was made."""

    text: str
    """For people; names the host."""
    change: str
    """What somebody accepts who lets the execution go on: the same for all hosts to which the same has happened."""
    other_machine: bool = False
    """The host's name belongs to another machine now."""


def host_drift(plan: Plan, step: PlannedStep, host: Host) -> HostDrift | None:
    """Return what keeps the host from running the step as it was planned; None when it can.

    For the check at each dispatch: O(1). A plan that pins neither ids nor schemas is not checked.
    """
    if step.type is None or step.place is Place.COORDINATOR:
        return None
    planned_id = plan.host_ids.get(host.name, host.id)
    if host.id != planned_id:
        text = f"{host.name} is another machine than planned: it has joined anew as {host.id}, planned was {planned_id}"
        return HostDrift(text, f"{host.name} is {host.id}", other_machine=True)
    planned = step.type_on.get(host.name, step.type)
    if not planned.schema_digest:
        return None
    info = host.step_types.get(planned.name)
    if info is None:
        return HostDrift(f"{host.name} cannot run {planned.name} any more", f"{host.name} without {planned.name}")
    if (info.digest, info.distribution, info.version) == (
        planned.schema_digest,
        planned.distribution,
        planned.version,
    ):
        return None
    was, now = f"{planned.distribution} {planned.version}", f"{info.distribution} {info.version}"
    if info.digest != planned.schema_digest:
        text = f"the parameters of {planned.name} on {host.name} ({now}) are of another form than planned ({was})"
    else:
        text = f"{planned.name} on {host.name} comes from {now}, planned was {was}"
    change = f"{planned.name} from {was} {planned.schema_digest} to {now} {info.digest}"
    return HostDrift(text, change)


def value_drift(
    planned: PlannedValues, step: PlannedStep, host: str, item: str, parameters: Mapping[str, Json]
) -> HostDrift | None:
    """Return which parameter of a step has another value on a host than the plan says; None when all are as planned.

    `parameters` are those that would be sent now. What the plan could not know, or must not show, is not compared.
    O(parameters), however many items there are.
    """
    if planned.left_out(step.path, host):
        text = f"{step.path} was not to run on {host}: its condition did not hold when the plan was made"
        return HostDrift(text, text)
    for name, value in planned.of(step.path, host, item).items():
        if not _agrees(value, parameters.get(name)):
            now = shortened(parameters.get(name))
            text = f"parameter {name} of {step.path} on {host} is {now}, planned was {shortened(value)}"
            return HostDrift(text, text)
    return None


def _agrees(planned: Json, now: Json) -> bool:
    """Return whether a value is what the plan holds of it."""
    if isinstance(planned, Mapping):
        if planned.keys() in _MARKS:
            return True
        if not isinstance(now, Mapping) or planned.keys() != now.keys():
            return False
        return all(_agrees(value, now[key]) for key, value in planned.items())
    if isinstance(planned, list | tuple):
        if not isinstance(now, list | tuple) or len(planned) != len(now):
            return False
        return all(_agrees(one, other) for one, other in zip(planned, now, strict=True))
    return planned == now
