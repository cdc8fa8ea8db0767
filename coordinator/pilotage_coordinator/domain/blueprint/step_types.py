"""What the known step types say of a blueprint that uses them."""

from collections.abc import Mapping
from typing import Protocol

from pilotage_coordinator.domain.blueprint.errors import Problem, Problems, did_you_mean
from pilotage_coordinator.domain.blueprint.json_schema import violations
from pilotage_coordinator.domain.blueprint.model import Blueprint, Step
from pilotage_coordinator.domain.blueprint.parameter import ChoicesFrom
from pilotage_coordinator.domain.blueprint.position import Path, Position
from pilotage_coordinator.domain.blueprint.retry import Defaults
from pilotage_coordinator.domain.blueprint_files import file_parameters, wrong_use
from pilotage_coordinator.domain.plan import Effect, Place, StepKind
from pilotage_coordinator.domain.step_type import StepTypeInfo


class Places(Protocol):
    """Knows where each part of a file was written: a blueprint, or the tree that it was read from."""

    def position(self, path: Path) -> Position:
        """Return where the part at `path` was written, or its nearest ancestor."""
        ...


def check_step_types(blueprint: Blueprint, catalogue: Mapping[str, StepTypeInfo]) -> tuple[Problem, ...]:
    """Return what the known step types say against a blueprint: nothing when every leaf would be accepted.

    Unknown types, parameters that break their schema, an `effect` that the type does not leave to authors, a place
    where the type does not run, `at_plan` and `refresh` on types that do more than read, outputs that do not exist.
    """
    problems = Problems(blueprint.at.file)
    refreshing = {
        each.id for step in blueprint.all_steps() if step.rollout is not None for each in step.rollout.refresh
    }
    for parameter in blueprint.parameters.values():
        if parameter.choices_from is not None:
            _check_source(
                problems,
                ("workflows", blueprint.id, "parameters", parameter.name, "choices_from"),
                parameter.choices_from,
                catalogue,
            )
    for step in blueprint.all_steps():
        if step.kind is StepKind.LEAF:
            check_leaf(problems, blueprint, step, catalogue, step.id in refreshing)
            _check_files(problems, blueprint, step, catalogue)
    return tuple(problems.found)


def check_type(problems: Problems, at: Position, path: Path, name: str, catalogue: Mapping[str, StepTypeInfo]) -> None:
    """Note a step type, written at `path`, that nobody offers."""
    if name not in catalogue:
        near = did_you_mean(name, catalogue)
        hint = (
            near
            if near.startswith("did")
            else "no connected host and no built-in offers it: is its plugin installed there?"
        )
        problems.add(at, path, f"there is no step type `{name}`", hint)


def check_leaf(
    problems: Problems, places: Places, step: Step, catalogue: Mapping[str, StepTypeInfo], refreshes: bool
) -> None:
    """Note what its type says against a leaf; `refreshes`: it stands in a rollout's `refresh`."""
    info = catalogue.get(step.type)
    if info is None:
        path = (*step.path, "type")
        check_type(problems, places.position(path), path, step.type, catalogue)
    else:
        _check_leaf(problems, places, step, info, refreshes)


def parameters_with_defaults(step: Step, defaults: Defaults, info: StepTypeInfo) -> Mapping[str, object]:
    """Return the parameters of a leaf, with the blueprint's `user` and `env` where its type has such parameters."""
    known = info.params_schema.get("properties")
    known = known if isinstance(known, Mapping) else {}
    parameters = dict(step.parameters)
    if defaults.user is not None and "user" in known:
        parameters.setdefault("user", defaults.user)
    own = parameters.get("env", {})
    if defaults.env and "env" in known and isinstance(own, Mapping):
        parameters["env"] = {**defaults.env, **own}
    return parameters


def effect_of(step: Step, info: StepTypeInfo) -> Effect:
    """Return the effect that holds for a leaf: its author's word where the type leaves it to him, else the type's."""
    return step.effect if step.effect is not None and step.effect in info.author_effects else info.effect


def _check_leaf(problems: Problems, places: Places, step: Step, info: StepTypeInfo, refreshes: bool) -> None:
    for each in violations(info.params_schema, dict(step.parameters)):
        _note(problems, places, step, ("parameters", *each.path), each.message, each.hint)
    if step.effect is not None and step.effect is not info.effect and step.effect not in info.author_effects:
        allowed = " or ".join(sorted(info.author_effects))
        hint = f"authors may declare {allowed}" if allowed else f"it is always {info.effect}; remove `effect`"
        _note(problems, places, step, ("effect",), f"`{step.type}` is never {step.effect}", hint)
    if step.place is Place.COORDINATOR and info.place is not Place.COORDINATOR:
        hint = "remove `place: coordinator`"
        _note(problems, places, step, ("place",), f"`{step.type}` runs on hosts, never on the coordinator", hint)
    if step.place is Place.HOST and info.place is Place.COORDINATOR:
        _note(problems, places, step, ("place",), f"`{step.type}` runs on the coordinator", "remove `place`")
    if (step.at_plan or refreshes) and effect_of(step, info) is not Effect.READ:
        word = "at_plan" if step.at_plan else "refresh"
        hint = "only read steps run before anyone has agreed to anything"
        _note(problems, places, step, ("id",), f"`{word}` needs effect read; `{step.type}` is {info.effect}", hint)
    outputs = info.outputs_schema.get("properties")
    for index, name in enumerate(step.sensitive_outputs):
        if isinstance(outputs, Mapping) and name not in outputs:
            path = ("sensitive_outputs", index)
            _note(problems, places, step, path, f"`{step.type}` has no output `{name}`", did_you_mean(name, outputs))


def _check_source(problems: Problems, path: Path, source: ChoicesFrom, catalogue: Mapping[str, StepTypeInfo]) -> None:
    """Note what is wrong with a parameter's source of choices."""
    info = catalogue.get(source.type)
    if info is None:
        check_type(problems, source.at, (*path, "type"), source.type, catalogue)
        return
    if info.effect is not Effect.READ or info.place is Place.COORDINATOR:
        hint = "discovery.containers and its like do"
        problems.add(source.at, (*path, "type"), f"`{source.type}` is none that only reads on hosts", hint)
    for each in violations(info.params_schema, dict(source.parameters)):
        problems.add(source.at, (*path, "parameters", *each.path), each.message, each.hint)
    outputs = info.outputs_schema.get("properties")
    name = source.values.partition(".")[0]
    listed = outputs.get(name) if isinstance(outputs, Mapping) else None
    if isinstance(outputs, Mapping) and not (isinstance(listed, Mapping) and listed.get("type") == "array"):
        lists = [key for key, each in outputs.items() if isinstance(each, Mapping) and each.get("type") == "array"]
        hint = did_you_mean(name, lists)
        problems.add(source.at, (*path, "values"), f"`{source.type}` has no output `{name}` that is a list", hint)


def _check_files(problems: Problems, blueprint: Blueprint, step: Step, catalogue: Mapping[str, StepTypeInfo]) -> None:
    """Note names of files that the blueprint does not have."""
    info = catalogue.get(step.type)
    for name in file_parameters(info.params_schema) if info is not None else ():
        value = step.parameters.get(name)
        if isinstance(value, str) and (wrong := wrong_use(value, blueprint.files)):
            _note(problems, blueprint, step, ("parameters", name), *wrong)


def _note(problems: Problems, places: Places, step: Step, inner: Path, message: str, hint: str = "") -> None:
    path = (*step.path, *inner)
    problems.add(places.position(path), path, message, hint)
