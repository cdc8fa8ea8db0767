"""The operation that tells what can be chosen for a parameter: as the blueprint says, or as its hosts say now."""

from pydantic import Field, JsonValue

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.service.blueprints import find
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.errors import refused
from pilotage_coordinator.service.parameter_texts import parameters_of_texts
from pilotage_coordinator.service.plans import Selector
from pilotage_coordinator.service.requested import requested
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import allowed, verb
from pilotage_coordinator.service.wire import Answer, Name, Request
from pilotage_coordinator.service.within import Wanted, within_limits_of

MOST_CHOICES = 5_000
"""More help nobody who looks at a form."""


class ShowChoices(Request):
    """Ask for the choices of one parameter; the values so far decide which hosts are asked."""

    blueprint: Name
    parameter: Name
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    parameter_texts: dict[str, str] = Field(default_factory=dict)
    """Parameters as typed on a command line, read by each one's type; they win over `parameters`."""
    limit_to: Selector = ""

    def subject(self) -> str:
        return f"{self.blueprint} {self.parameter}"


class Choice(Answer):
    """One value, and the hosts that have it; none where the blueprint itself names the choices."""

    value: JsonValue
    hosts: list[str] = Field(default_factory=list)


class SilentHost(Answer):
    """A host that told nothing, or not all, and why."""

    host: str
    reason: str


class Choices(Answer):
    """What can be chosen. `asked`: the step type that hosts were asked with; `incomplete`: hosts that may have more."""

    parameter: str
    asked: str = ""
    items: list[Choice]
    left_out: int = 0
    """How many more there are than fit into an answer."""
    incomplete: list[SilentHost] = Field(default_factory=list)


@verb("blueprint.choices")
async def show_choices(services: Services, caller: Caller, request: ShowChoices) -> Choices:
    """Tell what can be chosen for a parameter; where the blueprint says so, its hosts are asked."""
    record = await find(services, caller, request.blueprint)
    wanted = Wanted("blueprint.choices", "plan.make", request.subject())
    _, within = await within_limits_of(services, caller, wanted, record.id, record.version)
    blueprint = (await services.library.get(record.id, record.version)).blueprint
    await services.store.audit.append(*allowed(services, caller, "blueprint.choices", request.subject()))
    parameter = blueprint.parameters.get(request.parameter)
    if parameter is not None and parameter.choices:
        items = [Choice.model_validate({"value": value}) for value in parameter.choices]
        return Choices(parameter=request.parameter, items=items)
    given: dict[str, Json] = {**request.parameters, **parameters_of_texts(blueprint, request.parameter_texts)}
    try:
        found = await services.plans.offers(
            record.id, record.version, request.parameter, given, request.limit_to, within, requested(caller)
        )
    except PlanRefused as error:
        raise refused(error) from error
    items = [Choice(value=value, hosts=list(hosts)) for value, hosts in found.values.items()]
    source = parameter.choices_from if parameter is not None else None
    return Choices(
        parameter=request.parameter,
        asked=source.type if source is not None else "",
        items=items[:MOST_CHOICES],
        left_out=max(0, len(items) - MOST_CHOICES),
        incomplete=[SilentHost(host=host, reason=why) for host, why in found.untold.items()],
    )
