"""Operations on plans: what would happen, before anything does."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints, model_validator

from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.runtime.beside import beside
from pilotage_coordinator.service.blueprints import FileName, Source, unknown
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.command import command_blueprint
from pilotage_coordinator.service.errors import Invalid, refused
from pilotage_coordinator.service.parameter_texts import parameters_of_texts
from pilotage_coordinator.service.plan_view import PlanAnswer, plan_answer
from pilotage_coordinator.service.ports import Planned, Within
from pilotage_coordinator.service.requested import ClassName, class_of, requested
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Digest, Name, Request
from pilotage_coordinator.service.within import Wanted, within_limits_of
from pilotage_coordinator.store import errors as store_errors

Selector = Annotated[str, StringConstraints(max_length=4096)]
Argument = Annotated[str, StringConstraints(max_length=128 * 1024)]


class WhatToRun(Request):
    """What a plan is made of: exactly one of a stored blueprint, the text of one, or a command."""

    blueprint: Name | None = None
    """`id`, `id@1` or `id@1.2.0`."""
    source: Source | None = None
    file: FileName = "<request>"
    workflow: Name | None = None
    """Which blueprint of `source` is meant, when it holds several."""
    command: Annotated[list[Argument], Field(min_length=1, max_length=4096)] | None = None
    """A program and its arguments, to run on the hosts of `limit_to`."""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    parameter_texts: dict[str, str] = Field(default_factory=dict)
    """Parameters as typed on a command line, read by each one's type; they win over `parameters`."""
    limit_to: Selector = ""
    """A selector such as `role=db`: it narrows the blueprint's targets, and gives those of steps that have none."""
    change_class: ClassName | None = None
    """The class of the change, where rules of the policy ask for it: standard, normal or emergency."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "WhatToRun":
        given = [name for name in ("blueprint", "source", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of blueprint, source and command, not {' and '.join(given) or 'none'}")
        return self

    def subject(self) -> str:
        return self.blueprint or (f"command {self.command[0]}" if self.command else self.file)


class MakePlan(WhatToRun):
    """Ask for a plan; `previews` also asks the hosts what would change on them."""

    previews: bool = True


class ShowPlan(Request):
    """Ask for a plan that was made before."""

    digest: Digest

    def subject(self) -> str:
        return self.digest


@verb("plan.make")
async def make_plan(services: Services, caller: Caller, request: MakePlan) -> PlanAnswer:
    """Plan: resolve targets, parameters, waves and previews. Nothing is changed on any host."""
    wanted = Wanted("plan.make", "plan.make", request.subject())
    return await _answer(await plan(services, caller, request, wanted, previews=request.previews))


@verb("plan.show")
async def show_plan(services: Services, caller: Caller, request: ShowPlan) -> PlanAnswer:
    """Show a plan that was made before, by its digest."""
    return await _answer(await services.plans.stored(request.digest))


async def _answer(planned: Planned) -> PlanAnswer:
    previews = sum(len(rows) for rows in planned.previews.values())
    return await beside(planned.plan, lambda: plan_answer(planned), more=previews)


async def plan(services: Services, caller: Caller, request: WhatToRun, wanted: Wanted, *, previews: bool) -> Planned:
    """Make the plan that a request describes, and store it.

    Raises Denied before anything is asked of a host that lies outside of the caller's limits.
    """
    blueprint, version = await _blueprint(services, request)
    version, within = await within_limits_of(services, caller, wanted, blueprint, version)
    try:
        return await _planned(services, caller, request, blueprint, version, within, previews=previews)
    except store_errors.NotFound as error:
        if isinstance(blueprint, str) and not await services.store.blueprints.versions(blueprint):
            raise await unknown(services, caller, blueprint) from error
        raise
    except PlanRefused as error:
        refusal = refused(error)
        if request.command is not None:
            # Nobody wrote the blueprint that a command is made into, so its lines say nothing.
            refusal.problems = tuple(replace(each, file="", line=0, column=0, path="") for each in refusal.problems)
        if isinstance(blueprint, str) and any(
            (each.path or each.message).startswith("parameters.") for each in refusal.problems
        ):
            refusal.fix = f"`pilotage blueprint show {blueprint}` lists its parameters"
        raise refusal from error


async def _planned(
    services: Services,
    caller: Caller,
    request: WhatToRun,
    blueprint: str | Blueprint,
    version: str,
    within: Within | None,
    *,
    previews: bool,
) -> Planned:
    subject = blueprint if isinstance(blueprint, str) else blueprint.id
    parameters: dict[str, Json] = dict(request.parameters)
    if request.parameter_texts:
        known = (await services.library.get(blueprint, version)).blueprint if isinstance(blueprint, str) else blueprint
        parameters |= parameters_of_texts(known, request.parameter_texts)
    return await services.plans.make(
        blueprint,
        version,
        parameters,
        request.limit_to,
        caller.principal,
        previews=previews,
        within=within,
        audit=allowed(services, caller, "plan.make", subject, limit_to=request.limit_to),
        requested=requested(caller, class_of(request.change_class)),
    )


async def _blueprint(services: Services, request: WhatToRun) -> tuple[str | Blueprint, str]:
    if request.blueprint is not None:
        blueprint_id, _, version = request.blueprint.partition("@")
        return blueprint_id, version
    if request.command is not None:
        if not request.limit_to:
            raise Invalid("a command needs hosts to run on", fix="name them with a selector, such as -l role=db")
        (blueprint,) = await services.library.read(*command_blueprint(request.command))
        return blueprint, ""
    found = await services.library.read(request.source or "", request.file)
    if request.workflow is not None:
        found = [each for each in found if each.id == request.workflow]
    if len(found) != 1:
        ids = ", ".join(each.id for each in found) or "none of that name"
        raise Invalid(f"{request.file} holds several blueprints: {ids}", fix="say which one with `workflow`")
    return found[0], ""
