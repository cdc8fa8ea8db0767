"""What hosts offer for a parameter with `choices_from`: what to ask them, and what their answers mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage_coordinator.domain.blueprint.model import Blueprint, Parameter
from pilotage_coordinator.domain.blueprint.parameter import ChoicesFrom, Validation
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.json_form import plain
from pilotage_coordinator.domain.planning.request import Question, ReadAnswer, ReadKey
from pilotage_coordinator.domain.values import MINUTE

ASK_TIMEOUT = 1 * MINUTE
"""Somebody looks at a form meanwhile."""

LEFT_OUT = "left_out"
"""The output by which discovery says how much more there was than fits."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Values to the hosts that have them, in order; `silent`: hosts that told nothing, and why. `cut`: hosts that have
    more than they told."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[str, ...] = ()

    @property
    def all_told(self) -> bool:
        """Whether what is not among the values is nowhere."""
        return not self.silent and not self.cut

    @property
    def untold(self) -> dict[str, str]:
        """Return the hosts that may have more than is known, and why."""
        return dict(sorted({**self.silent, **dict.fromkeys(self.cut, "it has more than it can tell at once")}.items()))


@dataclass(frozen=True, slots=True)
class Asking:
    """The questions of one parameter; `silent`: hosts that cannot be asked, and why."""

    source: ChoicesFrom
    questions: tuple[Question, ...]
    silent: Mapping[str, str]

    def offers(self, answers: Mapping[ReadKey, ReadAnswer]) -> Offers:
        """Return what the answers come to; every question has one."""
        return _offers(self.source, {each.host: answers[each.key] for each in self.questions}, self.silent)


def ask(parameter: Parameter, source: ChoicesFrom, hosts: tuple[str, ...], inventory: Inventory) -> Asking:
    """Return what to ask these hosts about a parameter; those that are offline are silent."""
    online = [name for name in hosts if inventory[name].online]
    given: dict[str, Json] = plain(source.parameters)
    questions = [Question(f"parameters.{parameter.name}", name, source.type, given, ASK_TIMEOUT) for name in online]
    return Asking(source, tuple(questions), {name: "it is offline" for name in hosts if name not in online})


def unknown_choice(value: object, offers: Offers) -> str:
    """Return the first of the chosen values that no host has told; empty when all were."""
    chosen = [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
    return next((each for each in chosen if each not in offers.values), "")


def with_what_is_given(blueprint: Blueprint, given: Mapping[str, Json]) -> Blueprint:
    """Return the blueprint as a form sees it that is not filled in yet: nothing is required, and conditions over
    parameters, some of which have no value, are not asked."""

    def relaxed(parameter: Parameter) -> Parameter:
        open_ = replace(parameter, validation=replace(parameter.validation, that=None))
        return open_ if parameter.name in given else replace(open_, required=False, validation=Validation())

    return replace(blueprint, parameters={name: relaxed(each) for name, each in blueprint.parameters.items()})


def _offers(source: ChoicesFrom, answers: Mapping[str, ReadAnswer], silent: Mapping[str, str]) -> Offers:
    found: dict[str, list[str]] = {}
    untold, cut = dict(silent), list[str]()
    name, *inside = source.values.split(".")
    for host, answer in answers.items():
        listed = None if answer.error else answer.outputs.get(name)
        if not isinstance(listed, list | tuple):
            untold[host] = answer.error or f"its {source.type} tells no list `{name}`"
            continue
        if answer.outputs.get(LEFT_OUT):
            cut.append(host)
        for item in listed:
            value = _at(item, inside)
            if isinstance(value, str) and value and host not in found.setdefault(value, []):
                found[value].append(host)
    values = {value: tuple(hosts) for value, hosts in sorted(found.items())}
    return Offers(values, dict(sorted(untold.items())), tuple(cut))


def _at(item: Any, inside: list[str]) -> Any:
    for part in inside:
        item = item.get(part) if isinstance(item, Mapping) else None
    return item
