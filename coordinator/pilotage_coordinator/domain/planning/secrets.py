"""The secrets that a plan names: a missing one, or one that is not granted, is told when it is made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import FailureKind, Json, Place, Plan, PlannedStep, Resolved
from pilotage_coordinator.domain.planning.errors import MOST_PROBLEMS, PlanProblem
from pilotage_coordinator.domain.planning.every_step import all_steps, steps_with_hosts
from pilotage_coordinator.domain.secret_grant import SecretGrant, SecretUser, advice, covered, named
from pilotage_coordinator.domain.secret_places import misplaced, refusal
from pilotage_coordinator.domain.step_type import StepTypeInfo

SCHEME: Final = "secret://"


@dataclass(slots=True)
class Naming:
    """Where one step names one secret."""

    places: list[str] = field(default_factory=list)
    """Its parameters, each once."""
    everywhere: bool = False
    """Whether on all of the step's hosts; else on `hosts`, for only there its parameters come to it."""
    hosts: set[str] = field(default_factory=set)


Namings = Mapping[str, Mapping[str, Naming]]
"""Name of a secret to path of a step."""


def named_secrets(plan: Plan) -> Namings:
    """Return the secrets that steps of a plan name. A step that is left out on all its hosts names none."""
    found: dict[str, dict[str, Naming]] = {}
    for step in all_steps(plan):
        for host, name, place in _in_step(plan, step):
            naming = found.setdefault(name, {}).setdefault(step.path, Naming())
            if place not in naming.places:
                naming.places.append(place)
            if host is None:
                naming.everywhere = True
            else:
                naming.hosts.add(host)
    return found


def missing_secrets(missing: Namings) -> list[PlanProblem]:
    """Return what to say about secrets that do not exist: each once, with the first place that names it."""
    return [_missing(name, by_step) for name, by_step in islice(missing.items(), MOST_PROBLEMS)]


def _missing(name: str, by_step: Mapping[str, Naming]) -> PlanProblem:
    path, naming = next(iter(by_step.items()))
    more = sum(len(each.places) for each in by_step.values()) - 1
    others = f", as in {more} more place{'s' if more > 1 else ''}" if more else ""
    message = f"{naming.places[0]}: there is no secret `{name}`{others}"
    return PlanProblem(FailureKind.PARAMETER, message, f"pilotage secret set {name}", path)


def ungranted_secrets(
    plan: Plan,
    namings: Namings,
    grants: Mapping[str, Sequence[SecretGrant]],
    user: SecretUser,
    inventory: Mapping[str, Host],
) -> list[PlanProblem]:
    """Return what to say about secrets that steps name and are not granted: each step and secret once.

    `user` says which blueprint asks. Hosts that are known only at run time are judged when a value is to be sent.
    """
    problems: list[PlanProblem] = []
    for step, hosts in steps_with_hosts(plan):
        left_out = {host for host, each in plan.resolved.get(step.path, {}).items() if each.when is False}
        asking = replace(user, step_type=step.type.name if step.type else "")
        for name, by_step in namings.items():
            naming = by_step.get(step.path)
            if naming is None or len(problems) >= MOST_PROBLEMS:
                continue
            names = [host for host in hosts if host not in left_out] if naming.everywhere else sorted(naming.hosts)
            on_coordinator = step.place is Place.COORDINATOR
            wanted = [asking] if on_coordinator else [replace(asking, host=inventory.get(host)) for host in names]
            refused = [each for each in wanted if not covered(grants[name], each)]
            if refused:
                problems.append(_ungranted(name, naming.places[0], step.path, refused))
    return problems


def _ungranted(name: str, place: str, path: str, refused: Sequence[SecretUser]) -> PlanProblem:
    asking = refused[0]
    names = [each.host.name for each in refused if each.host is not None]
    where = f"on {', '.join(names[:3])}" if names else "on the coordinator"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    message = (
        f"{place}: secret `{name}` is not granted to {asking.step_type} {where}{more} in {named(asking.blueprint)}"
    )
    return PlanProblem(FailureKind.POLICY, message, advice(name, asking), path)


def misplaced_secrets(
    info: StepTypeInfo, parameters: Mapping[str, Json], resolved: Mapping[str, Resolved], path: str
) -> list[PlanProblem]:
    """Return what to say about secrets, and values made from sensitive parameters, that the step type takes as text.

    Values known only at run time are checked before they are sent (`runtime.dispatch`).
    """
    active = [each for each in resolved.values() if each.when is not False]
    if resolved and not active:
        return []
    trees = [parameters, *(tree for each in active for tree in (each.parameters, *each.item_parameters))]
    places = dict.fromkeys(place for tree in trees for place in misplaced(tree, info.params_schema))
    message, fix = refusal(info.name, info.params_schema)
    return [PlanProblem(FailureKind.PARAMETER, f"{place}: {message}", fix, path) for place in places]


def _in_step(plan: Plan, step: PlannedStep) -> Iterator[tuple[str | None, str, str]]:
    """Yield host (None: all of them), secret and place."""
    by_host = plan.resolved.get(step.path, {})
    if by_host and all(resolved.when is False for resolved in by_host.values()):
        return
    for name, place in _named(step.parameters, "parameters"):
        yield None, name, place
    for host, resolved in by_host.items():
        for tree in (resolved.parameters, *resolved.item_parameters):
            for name, place in _named(tree, "parameters"):
                yield host, name, place


def _named(value: Json, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value.startswith(SCHEME) and "{{" not in value:
            yield value.removeprefix(SCHEME), place
    elif isinstance(value, Mapping):
        if value.keys() == {"run_time"} or value.keys() == {"sensitive"}:
            return
        for key, inner in value.items():
            yield from _named(inner, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _named(inner, f"{place}[{index}]")
