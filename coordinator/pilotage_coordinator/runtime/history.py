"""Reads executions from their events: the state of now, of any moment, and before the first."""

import asyncio
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.execution.codec import decode
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.plan import Plan
from pilotage_coordinator.domain.planning.answers import with_answers
from pilotage_coordinator.engine.evolve import fold
from pilotage_coordinator.runtime.beside import beside
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.projection import Position, count_runs
from pilotage_coordinator.runtime.sensitive import referring
from pilotage_coordinator.store.protocol import ExecutionStore

EVENTS_AT_ONCE: Final = 1000
"""Folded between two turns of the event loop."""


@dataclass(frozen=True, slots=True)
class History:
    """The stored executions."""

    executions: ExecutionStore
    plans: PlanShelf

    async def load(self, execution: str, until: int | None = None) -> tuple[ExecutionState, Position]:
        """Fold an execution from its events, all of them or those up to a sequence; raises store.NotFound."""
        record = await self.executions.get(execution)
        plan = await self._as_started(execution, await self.plans.get(record.plan_digest))
        state = await self.unbegun(execution, plan)
        sequence = 0
        while rows := await self.executions.events(execution, sequence, EVENTS_AT_ONCE):
            wanted = [row for row in rows if until is None or row.sequence <= until]
            state = fold(state, [(decode(row.type, row.data), row.at) for row in wanted])
            sequence = wanted[-1].sequence if wanted else sequence
            if len(wanted) < len(rows):
                break
            await asyncio.sleep(0)
        return state, Position(record.version, sequence, count_runs(state))

    async def _as_started(self, execution: str, plan: Plan) -> Plan:
        """Return a stored plan as the execution was started with it: with the answers of that moment."""
        answers = (await self.executions.inputs(execution)).answers
        return plan if answers is None else await beside(plan, lambda: with_answers(plan, answers))

    async def unbegun(self, execution: str, plan: Plan) -> ExecutionState:
        """Return the state before any event."""
        return await beside(plan, lambda: ExecutionState.new(execution, referring(plan, execution)))
