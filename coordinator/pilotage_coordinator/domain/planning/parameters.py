"""The values of a blueprint's parameters in one plan: checked, hosts found, sensitive ones told apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotage_coordinator.domain.blueprint.errors import BlueprintError
from pilotage_coordinator.domain.blueprint.model import Blueprint, Parameter, ParameterType
from pilotage_coordinator.domain.blueprint.parameters import resolve_parameters
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import FailureKind, Json
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.planning.json_form import plain
from pilotage_coordinator.domain.planning.masking import mask
from pilotage_coordinator.domain.planning.targets import Select, select_hosts, unknown_host


@dataclass(frozen=True, slots=True)
class Values:
    """What `parameters` means in one blueprint of a plan."""

    real: Mapping[str, Json]
    sensitive: frozenset[str]

    def shown(self, key: bytes, path: str) -> dict[str, Any]:
        """Return them as a plan shows them: sensitive values masked."""
        place = f"{path}:parameters"
        return {
            name: mask(key, f"{place}.{name}", value) if name in self.sensitive else value
            for name, value in self.real.items()
        }

    def hidden(self) -> dict[str, Json]:
        """Return the real values of the sensitive ones."""
        return {name: value for name, value in self.real.items() if name in self.sensitive}


def is_hidden(parameter: Parameter) -> bool:
    """Return whether a plan must not show the value. A reference (`secret://NAME`) is shown: it names, it tells not."""
    inner = [*parameter.properties.values(), *([parameter.items] if parameter.items is not None else [])]
    own = parameter.sensitive and parameter.type is not ParameterType.SECRET
    return own or any(is_hidden(each) for each in inner)


def read_values(
    blueprint: Blueprint, given: Mapping[str, Json], expressions: Expressions, path: str
) -> tuple[Mapping[str, Any], list[PlanProblem]]:
    """Return the value of every parameter, or what is wrong with what was given."""
    try:
        return resolve_parameters(blueprint, given, expressions), []
    except BlueprintError as error:
        return {}, [
            PlanProblem(FailureKind.PARAMETER, f"{each.path}: {each.message}".removeprefix(": "), each.hint, path)
            for each in error.problems
        ]


def find_hosts(
    blueprint: Blueprint, values: Mapping[str, Any], inventory: Inventory, select: Select, path: str
) -> tuple[dict[str, Any], list[PlanProblem]]:
    """Return the values with every `hosts` parameter as a list of names, and what is wrong with `host` and `hosts`."""
    found = {name: plain(value) for name, value in values.items()}
    problems: list[PlanProblem] = []
    for name, parameter in blueprint.parameters.items():
        value = found.get(name)
        if value is None:
            continue
        if parameter.type is ParameterType.HOSTS:
            if isinstance(value, Mapping):
                names, failed = select_hosts(str(value["select"]), inventory, select)
                problems += [_problem(parameter, path, message, fix, host) for host, message, fix in failed]
                found[name] = list(names)
                if not names and not failed:
                    problems.append(_problem(parameter, path, f"no host fulfils `{value['select']}`"))
            else:
                found[name] = [value] if isinstance(value, str) else list(value)
                problems += [
                    _problem(parameter, path, *unknown_host(each, inventory))
                    for each in found[name]
                    if each not in inventory and not parameter.allow_offline
                ]
        elif parameter.type is ParameterType.HOST and isinstance(value, str):
            problems += _check_host(parameter, value, inventory, path)
    return found, problems


def _check_host(parameter: Parameter, name: str, inventory: Inventory, path: str) -> list[PlanProblem]:
    if name not in inventory:
        return [_problem(parameter, path, *unknown_host(name, inventory))]
    if not inventory[name].online and not parameter.allow_offline:
        message = f"the host is offline, and the parameter `{parameter.name}` asks for one that is online"
        return [_problem(parameter, path, message, "start its agent, or write `allow_offline: true`", name)]
    return []


def _problem(parameter: Parameter, path: str, message: str, fix: str = "", host: str = "") -> PlanProblem:
    text = f"parameter `{parameter.name}`: {message}"
    return PlanProblem(FailureKind.PARAMETER, text, fix, path, host, parameter.at)
