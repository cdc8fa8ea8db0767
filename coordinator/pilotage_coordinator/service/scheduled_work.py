"""What a schedule will start, checked when it is set: it can be planned, by this caller, and holds no secret."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage_coordinator.domain.access.scope import Subject
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.blueprint.parameter import ParameterType
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.service import plans
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import Denied, Invalid
from pilotage_coordinator.service.executions import START
from pilotage_coordinator.service.parameter_texts import parameters_of_texts
from pilotage_coordinator.service.plans import WhatToRun
from pilotage_coordinator.service.requested import ClassName
from pilotage_coordinator.service.seen_blueprints import blueprints_of
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.subjects import require
from pilotage_coordinator.service.within import Wanted

WRITE = "schedule.write"


@dataclass(frozen=True, slots=True)
class Work:
    """What somebody asks a schedule to start."""

    blueprint: str
    parameters: Mapping[str, Json]
    texts: Mapping[str, str]
    limit_to: str
    change_class: ClassName | str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: the parameters by their types, the hosts of a plan made now, and what stands against it now.

    `seen` holds the blueprints that it would run: `id@version` to digest.
    """

    parameters: Mapping[str, Json]
    hosts: tuple[str, ...]
    seen: Mapping[str, str]
    warning: str = ""


async def checked(services: Services, caller: Caller, operation: str, name: str, work: Work) -> Checked:
    """Plan what a schedule would start, as the caller.

    Raises Denied when the caller may not start it or not schedule it, Invalid when there can be no plan. What only the
    policy says now is a warning: it is asked anew at each firing, and may say otherwise at night.
    """
    id, _, version = work.blueprint.partition("@")
    parameters, seen = dict(work.parameters), dict[str, str]()
    what = {"blueprint": work.blueprint, "limit_to": work.limit_to, "change_class": work.change_class}
    if await services.store.blueprints.versions(id):
        blueprint = (await services.library.get(id, version)).blueprint
        parameters |= parameters_of_texts(blueprint, work.texts)
        _no_secrets(blueprint, parameters)
        seen = await blueprints_of(services, work.blueprint)
    request = WhatToRun.model_validate({**what, "parameters": parameters})
    if not caller.might(START):
        raise Denied(
            f"{caller.principal} may not start what schedule {name} would start", fix="ask an owner for run.start"
        )
    try:
        made = await plans.plan(services, caller, request, Wanted(operation, START, work.blueprint), previews=False)
    except Denied as error:
        if not error.problems:
            raise
        require_schedulable(services, caller, operation, await services.subjects.of_blueprint(work.blueprint), name)
        return Checked(parameters, (), seen, f"now the policy would not let it run: {error.detail}")
    require_schedulable(services, caller, operation, await services.subjects.of_made(made.plan), name)
    return Checked(parameters, tuple(sorted({*made.plan.host_ids, *made.plan.targets})), seen)


def require_schedulable(services: Services, caller: Caller, operation: str, subject: Subject, name: str) -> None:
    """Raise Denied unless the caller may schedule work on this."""
    require(caller, operation, WRITE, subject, name)


def _no_secrets(blueprint: Blueprint, parameters: Mapping[str, Json]) -> None:
    """Raise Invalid for a sensitive value: a schedule is kept for years, in clear, and shown to who may see it."""
    for name in parameters:
        known = blueprint.parameters.get(name)
        if known is not None and known.sensitive and known.type is not ParameterType.SECRET:
            raise Invalid(
                f"parameter {name} of {blueprint.id} is sensitive, and a schedule keeps no sensitive values",
                fix="store it with `pilotage secret set`, and let the blueprint take it by its name",
            )
