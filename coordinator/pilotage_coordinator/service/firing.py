"""Starts what schedules ask for, as their owners: the way that every start goes, with what they may do right now."""

from dataclasses import dataclass

from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.runtime.scheduling import NotSeen, NotStarted, OwnerGone, StepOf, TryAgain
from pilotage_coordinator.service.caller import Caller, Face
from pilotage_coordinator.service.control import ControlRun, cancel_run
from pilotage_coordinator.service.errors import Fault, ServiceError, Unavailable, translated
from pilotage_coordinator.service.executions import START, Started, StartRun, start_by
from pilotage_coordinator.service.holder import caller_of
from pilotage_coordinator.service.plans import WhatToRun
from pilotage_coordinator.service.seen_blueprints import blueprints_of, unseen
from pilotage_coordinator.service.services import Services
from pilotage_coordinator.service.verb import guarded
from pilotage_coordinator.store.errors import NotFound
from pilotage_coordinator.store.records import ScheduleRecord

MOST_PROBLEMS = 3
"""Reasons against a plan that a firing's row repeats."""


@dataclass(frozen=True, slots=True)
class Firing:
    """Implements the scheduler's `Starter`."""

    services: Services

    async def start(self, schedule: ScheduleRecord, step: StepOf) -> str:
        """Start an execution and store the step with it."""

        owner = await self._owner(schedule)
        try:
            with translated():
                known = await blueprints_of(self.services, schedule.blueprint)
                reason = await unseen(self.services, schedule, known)
        except Unavailable as error:
            raise TryAgain(words(error)) from error
        except ServiceError as error:
            raise NotStarted(words(error)) from error
        if reason:
            raise NotSeen(reason)

        async def begin(services: Services, caller: Caller, request: StartRun) -> Started:
            return await start_by(services, caller, request, step, about(schedule), known=known)

        try:
            started = await guarded(START, self.services, owner, start_of(schedule), begin)
        except Unavailable as error:
            raise TryAgain(words(error)) from error
        except ServiceError as error:
            raise NotStarted(words(error)) from error
        return started.execution

    async def cancel(self, schedule: ScheduleRecord, execution: str) -> None:
        """Cancel an execution of the schedule."""
        request = ControlRun(execution=execution, reason=f"the next time of schedule {schedule.name} has come")
        try:
            await cancel_run(self.services, await self._owner(schedule), request)
        except ServiceError as error:
            raise NotStarted(words(error)) from error

    async def _owner(self, schedule: ScheduleRecord) -> Caller:
        """Return the owner as it is at this moment; raises OwnerGone."""
        try:
            holder = await self.services.store.access.holder(schedule.owner)
        except NotFound as error:
            raise OwnerGone(f"there is no principal {schedule.owner}, who owns the schedule") from error
        if holder.principal.disabled_at is not None:
            raise OwnerGone(f"{schedule.owner}, who owns the schedule, is disabled")
        return caller_of(holder, Face.SCHEDULE)


def start_of(schedule: ScheduleRecord, reason: str = "") -> StartRun:
    """Return the start that a schedule asks for."""
    values = {
        "what": WhatToRun.model_validate(
            {
                "blueprint": schedule.blueprint,
                "parameters": dict(schedule.parameters),
                "limit_to": schedule.limit_to,
                "change_class": schedule.change_class or None,
            }
        ),
        "reason": reason or schedule.reason or f"schedule {schedule.name}",
        "reference": schedule.reference,
        "change_class": schedule.change_class or None,
    }
    return StartRun.model_validate(values)


def about(schedule: ScheduleRecord) -> dict[str, Json]:
    """Return what the audit log says of the schedule behind a start."""
    return {"schedule": schedule.id, "schedule_name": schedule.name}


def words(error: ServiceError) -> str:
    """Return a refusal in one line: the reasons against a plan stand in its problems."""
    shown = [_problem(each) for each in error.problems[:MOST_PROBLEMS]]
    if len(error.problems) > len(shown):
        shown.append(f"and {len(error.problems) - len(shown)} more")
    return "; ".join([error.detail, *(each for each in shown if each not in error.detail)])


def _problem(fault: Fault) -> str:
    return ": ".join(part for part in (fault.path, fault.host, fault.message) if part)
