"""The secrets that a plan names: a missing one, or one that is not granted, is told when it is made."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import FailureKind, Json, Place, Plan, PlannedStep, Resolved
from pilotage_coordinator.domain.planning.errors import MOST_PROBLEMS, PlanProblem
from pilotage_coordinator.domain.planning.every_step import all_steps, steps_with_hosts
from pilotage_coordinator.domain.secret_grant import SecretGrant, SecretUser, advice, covered, named
from pilotage_coordinator.domain.secret_places import misplaced, refusal
from pilotage_coordinator.domain.step_type import StepTypeInfo

SCHEME: Final = "secret://"


def secret_places(plan: Plan) -> dict[str, list[tuple[str, str]]]:
    """Return the secrets that steps of a plan name: name to the places, each a step's path and a parameter's.

    A step that is left out on all its hosts names none. At most a hundred places are told for each.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for step in all_steps(plan):
        for name, place in _in_step(plan, step):
            places = found.setdefault(name, [])
            if (step.path, place) not in places[-1:] and len(places) < MOST_PROBLEMS:
                places.append((step.path, place))
    return found


def missing_secrets(missing: Mapping[str, list[tuple[str, str]]]) -> list[PlanProblem]:
    """Return what to say about secrets that do not exist: each once, with the first place that names it."""
    return [_missing(name, list(dict.fromkeys(places))) for name, places in missing.items()][:MOST_PROBLEMS]


def _missing(name: str, places: Sequence[tuple[str, str]]) -> PlanProblem:
    path, place = places[0]
    others = f", as in {len(places) - 1} more place{'s' if len(places) > 2 else ''}" if len(places) > 1 else ""
    message = f"{place}: there is no secret `{name}`{others}"
    return PlanProblem(FailureKind.PARAMETER, message, f"pilotage secret set {name}", path)


def ungranted_secrets(
    plan: Plan,
    places: Mapping[str, list[tuple[str, str]]],
    grants: Mapping[str, tuple[SecretGrant, ...]],
    user: SecretUser,
    inventory: Mapping[str, Host],
) -> list[PlanProblem]:
    """Return what to say about secrets that steps name and are not granted: each step and secret once.

    `user` says which blueprint asks. Hosts that are known only at run time are judged when a value is to be sent.
    """
    problems: list[PlanProblem] = []
    steps = {step.path: (step, hosts) for step, hosts in steps_with_hosts(plan)}
    for name, where in places.items():
        for path, place in dict(where).items():
            step, hosts = steps[path]
            left_out = {host for host, each in plan.resolved.get(path, {}).items() if each.when is False}
            found = _ungranted(name, place, step, hosts, left_out, grants[name], user, inventory)
            if found is not None and len(problems) < MOST_PROBLEMS:
                problems.append(found)
    return problems


def _ungranted(
    name: str,
    place: str,
    step: PlannedStep,
    hosts: Sequence[str],
    left_out: Collection[str],
    grants: Sequence[SecretGrant],
    user: SecretUser,
    inventory: Mapping[str, Host],
) -> PlanProblem | None:
    asking = replace(user, step_type=step.type.name if step.type else "")
    on_coordinator = step.place is Place.COORDINATOR
    hosts = [host for host in hosts if host not in left_out]
    wanted = [asking] if on_coordinator else [replace(asking, host=inventory.get(host)) for host in hosts]
    refused = [each for each in wanted if not covered(grants, each)]
    if not refused:
        return None
    names = [each.host.name for each in refused if each.host is not None]
    where = "on the coordinator" if not names else f"on {', '.join(names[:3])}"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    message = (
        f"{place}: secret `{name}` is not granted to {asking.step_type} {where}{more} in {named(asking.blueprint)}"
    )
    return PlanProblem(FailureKind.POLICY, message, advice(name, asking), step.path)


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


def _in_step(plan: Plan, step: PlannedStep) -> Iterator[tuple[str, str]]:
    by_host = plan.resolved.get(step.path, {})
    if by_host and all(resolved.when is False for resolved in by_host.values()):
        return
    yield from _named(step.parameters, "parameters")
    for resolved in by_host.values():
        yield from _named(resolved.parameters, "parameters")
        for each in resolved.item_parameters:
            yield from _named(each, "parameters")


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
