"""Executions as people ask for them: a plan is checked once more, its sensitive values are put away, then it runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.inputs import Input
from pilotage_coordinator.domain.execution.key import RunKey
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.planning.request import Planned
from pilotage_coordinator.domain.policy.errors import PolicyRefused
from pilotage_coordinator.domain.policy.question import Asker, Stage
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.ruling import Asking
from pilotage_coordinator.domain.policy.starting import limited, over_limit, unmet, unmet_again
from pilotage_coordinator.runtime.compliance_record import checked_record
from pilotage_coordinator.runtime.executor import Executor, Start
from pilotage_coordinator.runtime.planner import PlanMaker
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.runtime.sensitive import secret_name
from pilotage_coordinator.store.records import (
    AnswerRecord,
    AuditEntry,
    ComplianceRecord,
    EventRecord,
    ExecutionInputs,
    ScheduleStep,
    SecretRecord,
)


class SensitiveRefused(DomainError):
    """A sensitive parameter that is no text."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The door to the executor."""

    executor: Executor
    plans: PlanMaker
    vault: SecretVault
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(
        self,
        planned: Any,
        *,
        execution_id: str,
        requested_by: str,
        reason: str,
        audit: tuple[AuditEntry, ...],
        answer: AnswerRecord | None,
        requested: Requested | None = None,
        schedule: ScheduleStep | None = None,
    ) -> None:
        """Plan again, compare, and start.

        Raises PlanDrifted, PolicyRefused when the policy does not let it begin, or store.Conflict when the answer's key
        is taken or the step of its schedule cannot be made. `planned` is what the plan maker gave: a MadePlan, which
        faces need not know.
        """
        who = requested or Requested(Asker(requested_by))
        fresh = await self.plans.again(planned, who)
        if refused := tuple(unmet(fresh.plan, who.change)):
            raise PolicyRefused("nothing was started", refused)
        start = Start(
            execution_id,
            fresh.plan,
            requested_by,
            reason,
            inputs=ExecutionInputs(parameters=fresh.plan.parameters, request=who.to_json()),
            answer=answer,
            audit=audit,
            secrets=tuple(self._put_away(execution_id, fresh, requested_by)),
            compliance=_checked(fresh, who, execution_id),
            schedule=schedule,
        )
        if not limited(fresh.plan):
            await self.executor.start(start)
            return
        async with self._turn:
            # One after the other: each must see the executions that were started before it.
            running = ((state.id, state.plan) for state in self.executor.states())
            if refused := tuple(over_limit(fresh.plan, running)):
                raise PolicyRefused("nothing was started", refused)
            await self.executor.start(start)

    async def require_same(self, execution_id: str) -> None:
        """Plan an execution once more as it was started; raises PlanDrifted when something else would happen now."""
        state = await self.executor.state(execution_id)
        given = (await self.executor.store.executions.inputs(execution_id)).request
        who = Requested.from_json(given or {"principal": state.requested_by})
        await self.plans.again(await self.plans.stored(state.plan.digest), who)

    async def reopen(
        self, execution_id: str, input: Input, requested: Requested, *, audit: tuple[AuditEntry, ...]
    ) -> None:
        """Take up an ended execution again, where the policy lets whoever asks start its plan now, on these terms.

        The change is that of the first start. Raises PlanRefused or PolicyRefused, with nothing done, and the engine's
        refusal.
        """
        state = await self.executor.state(execution_id)
        first = Requested.from_json((await self.executor.store.executions.inputs(execution_id)).request or {})
        who = Requested(requested.asker, first.change)
        judged = await self.plans.judged(await self.plans.stored(state.plan.digest), who)
        if refused := tuple(unmet_again(state.plan, judged, who.change)):
            raise PolicyRefused("nothing was retried", refused)
        plan = replace(state.plan, policy=judged)
        if not limited(plan):
            await self.executor.submit(execution_id, input, audit)
            return
        async with self._turn:
            running = ((other.id, other.plan) for other in self.executor.states() if other.id != execution_id)
            if refused := tuple(over_limit(plan, running)):
                raise PolicyRefused("nothing was retried", refused)
            await self.executor.submit(execution_id, input, audit)

    async def submit(self, execution_id: str, input: Input, *, audit: tuple[AuditEntry, ...]) -> None:
        """Give the engine an input; raises its refusal when the state does not allow it."""
        await self.executor.submit(execution_id, input, audit)

    async def state(self, execution_id: str) -> ExecutionState:
        """Return where an execution is; raises store.NotFound."""
        return await self.executor.state(execution_id)

    async def replay(self, execution_id: str, at: int) -> ExecutionState:
        """Return where it was after the event with sequence `at`; raises store.NotFound."""
        return await self.executor.replay(execution_id, at)

    def watch(self, execution_id: str, after: int) -> AsyncIterator[EventRecord]:
        """Yield events above the sequence `after`, from the store and then live, until it is over."""
        return self.executor.watch(execution_id, after)

    def progress(self, execution_id: str) -> Mapping[RunKey, tuple[float | None, str]]:
        """Return the newest progress of running step runs."""
        return self.executor.progress(execution_id)

    def _put_away(self, execution: str, planned: Planned, requested_by: str) -> Iterator[SecretRecord]:
        """Yield the sensitive values as secrets of this execution, which are stored with it."""
        for path, values in planned.sensitive_parameters.items():
            for name, value in values.items():
                if not isinstance(value, str):
                    raise SensitiveRefused(
                        f"parameter {name} is sensitive and {type(value).__name__}; only text can be kept secret"
                    )
                kept = secret_name(execution, path, name)
                yield self.vault.encrypted(kept, value.encode(), updated_by=requested_by)


def _checked(planned: Planned, who: Requested, execution: str) -> ComplianceRecord | None:
    """Return the check of compliance that the start has passed, as it is kept."""
    if planned.compliance is None:
        return None
    asking = Asking(who.asker, who.change, planned.compliance.at, Stage.START)
    return checked_record(planned.compliance, planned.plan, asking, execution)
