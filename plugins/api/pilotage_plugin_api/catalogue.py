"""The step types that this process can run: entry points loaded one at a time, the broken ones set aside."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import pluggy

from pilotage_plugin_api.effect import Effect
from pilotage_plugin_api.errors import Refused, RegistrationRefused
from pilotage_plugin_api.hooks import PROJECT, PilotageHooks
from pilotage_plugin_api.registration import check_step_type, docs_of, overrides
from pilotage_plugin_api.step_type import StepType
from pilotage_plugin_api.version import API_VERSION, RECOVER_SINCE, ApiRange, incompatibility, read_range

GROUP: Final = "pilotage.plugins"
BUILTIN_DISTRIBUTION: Final = "pilotage"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a step type comes from."""

    distribution: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        """Return the form for messages: `acme-pilotage 1.2 (acme)`."""
        return f"{self.distribution} {self.version} ({self.entry_point})"


@dataclass(frozen=True, slots=True)
class Registered:
    """A step type with its origin and the range of API versions that its plugin declares."""

    step_type: StepType[Any, Any]
    origin: Origin
    api_range: ApiRange

    @property
    def recovers(self) -> bool:
        """Whether an interrupted attempt of this step type is to be put in order by its `recover`."""
        return self.api_range[1] >= RECOVER_SINCE and overrides(self.step_type, "recover")

    def describe(self) -> dict[str, Any]:
        """Return what a coordinator must know, as JSON values; the schemas are JSON Schema 2020-12."""
        kind = self.step_type
        return {
            "name": kind.name,
            "docs": docs_of(kind),
            "effect": kind.effect.value,
            "author_effects": sorted(effect.value for effect in kind.author_effects),
            "destructive": kind.destructive,
            "has_preview": overrides(kind, "preview"),
            "has_undo": overrides(kind, "undo"),
            "has_probe": overrides(kind, "probe"),
            "has_recover": self.recovers,
            "params_schema": kind.Params.model_json_schema(mode="validation"),
            "outputs_schema": kind.Outputs.model_json_schema(mode="serialization"),
            "distribution": self.origin.distribution,
            "version": self.origin.version,
            "api_version": API_VERSION,
            "api_range": list(self.api_range),
        }


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A plugin that could not be loaded, and why. None of its step types can be run."""

    origin: Origin
    reason: str

    def describe(self) -> dict[str, str]:
        """Return it as JSON values."""
        return {
            "distribution": self.origin.distribution,
            "version": self.origin.version,
            "entry_point": self.origin.entry_point,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What was loaded, by name of step type, and what was set aside."""

    step_types: Mapping[str, Registered]
    quarantined: tuple[Quarantined, ...] = ()

    def get(self, name: str) -> StepType[Any, Any]:
        """Return the step type of this name; raises Refused, saying what is there or why it is not."""
        if found := self.step_types.get(name):
            return found.step_type
        hint = "".join(f"; set aside: {plugin.origin}: {plugin.reason}" for plugin in self.quarantined)
        raise Refused(f"no plugin on this host brings the step type {name}{hint}")

    def describe(self) -> list[dict[str, Any]]:
        """Describe every step type, sorted by name."""
        return [self.step_types[name].describe() for name in sorted(self.step_types)]


def installed_plugins() -> list[EntryPoint]:
    """Return the entry points of every plugin installed beside this process, built-ins first, then by name.

    The order decides who keeps a name that two plugins claim: a stranger never takes one from the built-ins.
    """
    return sorted(entry_points(group=GROUP), key=lambda entry: (*_rank(_origin(entry).distribution), entry.name))


def load_catalogue(plugins: Iterable[EntryPoint] | None = None) -> Catalogue:
    """Load plugins one at a time, by default all that are installed; never raises for the fault of one of them.

    A plugin that cannot be imported, speaks no supported API version, registers nothing, breaks a rule of
    `check_step_type` or claims a name that is taken is quarantined whole.
    """
    loaded: dict[str, Registered] = {}
    quarantined: list[Quarantined] = []
    for entry in installed_plugins() if plugins is None else plugins:
        origin = _origin(entry)
        try:
            brought = _load(entry, origin)
            for new in brought:
                if taken := loaded.get(new.step_type.name):
                    raise RegistrationRefused(
                        f"step type {new.step_type.name} of {origin} is already brought by {taken.origin}: remove one"
                    )
        except (Exception, SystemExit) as error:
            quarantined.append(Quarantined(origin, _reason(error)))
        else:
            loaded.update((new.step_type.name, new) for new in brought)
    return Catalogue(step_types=loaded, quarantined=tuple(quarantined))


def _load(entry: EntryPoint, origin: Origin) -> list[Registered]:
    plugin = entry.load()
    api_range = read_range(plugin)
    if reason := incompatibility(api_range):
        raise RegistrationRefused(f"{origin} {reason}")
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(PilotageHooks)
    manager.register(plugin, name=entry.name)
    manager.check_pending()
    brought: dict[str, Registered] = {}

    def register(step_type: StepType[Any, Any]) -> None:
        check_step_type(step_type)
        if step_type.name in brought:
            raise RegistrationRefused(f"{origin} registers the step type {step_type.name} twice")
        new = Registered(step_type, origin, api_range)
        if new.recovers and step_type.effect is Effect.READ:
            raise RegistrationRefused(f"{step_type.name} has effect read but brings a recover()")
        brought[step_type.name] = new

    manager.hook.pilotage_register_step_types(register=register)
    if not brought:
        raise RegistrationRefused(f"{origin} registers no step type: does it implement pilotage_register_step_types?")
    return list(brought.values())


def _origin(entry: EntryPoint) -> Origin:
    if entry.dist is None:
        return Origin("unknown", "0", entry.name)
    return Origin(re.sub(r"[-_.]+", "-", entry.dist.name).lower(), entry.dist.version, entry.name)


def _rank(distribution: str) -> tuple[int, str]:
    return (0 if distribution == BUILTIN_DISTRIBUTION else 1, distribution)


def _reason(error: BaseException) -> str:
    if isinstance(error, RegistrationRefused):
        return str(error)
    return f"{type(error).__name__}: {error}"[:2000]


def effects_allowed(step_type: StepType[Any, Any]) -> frozenset[Effect]:
    """Return the effects under which a step of this type may run: its own, and those an author may declare."""
    return step_type.author_effects | {step_type.effect}
