"""`service.status`: how a unit is, and what it said last."""

from enum import StrEnum

from pilotage_plugin_api import Availability, Effect, Preview, StepContext, StepOutputs, StepType
from pydantic import Field

from pilotage_plugins.service.unit import UnitName, UnitParams, UnitState, availability, failed_unit, journal, look


class Expected(StrEnum):
    """What a unit must be."""

    ANY = "any"
    RUNNING = "running"
    STOPPED = "stopped"


class StatusParams(UnitParams):
    """Which unit, what it must be, and how much of its journal is wanted."""

    unit: UnitName = Field(description="The unit: nginx, nginx.service, backup.timer")
    expect: Expected = Field(Expected.ANY, description="Fail when it is otherwise")
    journal: int = Field(10, ge=0, le=50, description="Last lines of its journal")


class StatusOutputs(StepOutputs):
    """The unit's state, and the last lines of its journal (at most 1,000 characters each)."""

    unit: str
    running: bool
    state: UnitState
    journal: list[str]


class ServiceStatus(StepType[StatusParams, StatusOutputs]):
    """Look at a unit: its state, its enablement, and the end of its journal.

    With `expect` it is a check, for health gates and `wait.until`.
    """

    name = "service.status"
    effect = Effect.READ
    Params = StatusParams
    Outputs = StatusOutputs

    async def available(self, ctx: StepContext) -> Availability:
        """Ask whether systemd runs this host."""
        return await availability()

    async def preview(self, ctx: StepContext, params: StatusParams) -> Preview:
        """Change nothing."""
        return Preview()

    async def run(self, ctx: StepContext, params: StatusParams) -> StatusOutputs:
        """Look."""
        state = await look(ctx, params.unit)
        said = await journal(ctx, params.unit, params.journal)
        wanted = params.expect is Expected.RUNNING
        if params.expect is not Expected.ANY and state.running != wanted:
            raise failed_unit(params.unit, state, said)
        return StatusOutputs(unit=params.unit, running=state.running, state=state, journal=said)
