"""Which step type a leaf runs on each of its hosts: there, of the same effect, and taking the same parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.json_schema import broken_choice
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import StepTypeUse
from pilotage_coordinator.domain.step_type import StepTypeInfo


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a host cannot run a step."""

    host: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Pinned:
    """The step type for all hosts, and the hosts whose plugin is another one."""

    info: StepTypeInfo | None
    use: StepTypeUse | None = None
    on: Mapping[str, StepTypeUse] = field(default_factory=dict)
    misfits: tuple[Misfit, ...] = ()


def use_of(info: StepTypeInfo) -> StepTypeUse:
    """Return what a plan pins of a step type."""
    return StepTypeUse(info.name, info.distribution, info.version, info.digest)


def pin_step_type(name: str, parameters: Mapping[str, Any], hosts: Sequence[Host]) -> Pinned:
    """Pin the step type on every host; what most hosts have is the rule, the others are named.

    A host fits when it has the type, its effect is that of the rule, and its parameters take what the step gives.
    """
    uses: dict[StepTypeUse, list[str]] = {}
    infos: dict[StepTypeUse, StepTypeInfo] = {}
    misfits: list[Misfit] = []
    for host in hosts:
        info = host.step_types.get(name)
        if info is None:
            misfits.append(_missing(name, host))
            continue
        use = use_of(info)
        uses.setdefault(use, []).append(host.name)
        infos.setdefault(use, info)
    if not uses:
        return Pinned(None, misfits=tuple(misfits))
    rule = max(uses, key=lambda use: (len(uses[use]), use.version, use.distribution, use.schema_digest))
    for use, names in uses.items():
        misfits += [Misfit(each, *found) for found in _unfit(infos[use], infos[rule], parameters) for each in names]
    others = {each: use for use, names in uses.items() if use != rule for each in names}
    return Pinned(infos[rule], rule, dict(sorted(others.items())), tuple(misfits))


def _missing(name: str, host: Host) -> Misfit:
    plugin = name.partition(".")[0]
    near = did_you_mean(name, host.step_types)
    broken = "; ".join(f"{each}: {why}" for each, why in sorted(host.quarantined.items()))
    if broken:
        return Misfit(host.name, f"it cannot run {name}", f"plugins there could not be loaded: {broken}")
    if not host.step_types:
        return Misfit(host.name, f"it cannot run {name}: it has not told what it can run", "start its agent once")
    fix = f"install the plugin that brings `{plugin}.*` there, or what it needs (`pilotage host show {host.name}`)"
    return Misfit(host.name, f"it cannot run {name}", fix if not near.startswith("did") else f"{fix}; {near}")


def _unfit(info: StepTypeInfo, rule: StepTypeInfo, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    origin = f"{info.name} of {info.distribution or 'its plugin'} {info.version}".rstrip()
    other = f"upgrade it to {rule.distribution} {rule.version}".rstrip()
    if (info.effect, info.destructive) != (rule.effect, rule.destructive):
        return [(f"{origin} has another effect ({info.effect}) than elsewhere ({rule.effect})", other)]
    found: list[tuple[str, str]] = []
    known = info.params_schema.get("properties", {})
    if info.params_schema.get("additionalProperties") is False and isinstance(known, Mapping):
        found += [
            (f"{origin} has no parameter `{name}`", did_you_mean(name, known) if info is rule else other)
            for name in parameters
            if name not in known
        ]
    if broken := broken_choice(info.params_schema, parameters):
        found.append((f"{origin}: {broken}", ""))
    required = info.params_schema.get("required", ())
    if isinstance(required, Sequence):
        found += [(f"{origin} needs the parameter `{name}`", "") for name in required if name not in parameters]
    return found
