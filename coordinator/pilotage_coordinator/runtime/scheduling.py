"""Starts executions when their schedules say so.

What is due is in the tables alone: a schedule's next time, and the firings that wait. So a crash at any point repairs
itself by looking again, and nothing is done for a schedule that is not due. A firing's row is stored in the transaction
that creates its execution, with the step of its schedule: a time that has a row never comes again.

Schedules go by the machine's wall clock, also where it is set while the coordinator runs: a jump forward makes times
late, one backward makes none come twice.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol, TypeAlias

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.states import ExecutionStatus
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.schedule.codec import timetable_of
from pilotage_coordinator.domain.schedule.errors import ScheduleRefused
from pilotage_coordinator.domain.schedule.firing import (
    FAILED,
    LONGEST_OUTAGE,
    LOST,
    Decision,
    Outcome,
    State,
    Told,
    decide,
    due_now,
)
from pilotage_coordinator.domain.values import DAY, SECOND
from pilotage_coordinator.runtime.background import RETRY_PAUSE, Background
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.runtime.schedule_steps import End, ended, rules_of, taken_step, timed, told_step
from pilotage_coordinator.store.errors import Conflict, NotFound, StoreError
from pilotage_coordinator.store.protocol import ScheduleStore
from pilotage_coordinator.store.records import AuditEntry, FiringRecord, ScheduleRecord, ScheduleStep
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("workflow_scheduler")

LONGEST_SLEEP: Final = 30.0
"""Seconds after which the clock and the table are looked at in any case."""
MOST_AT_WORK: Final = 8
"""Schedules whose executions are being started at once."""
LONGEST_REASON: Final = 500
STEP: Final = "schedule.fire"
"""How the audit log calls what the coordinator does to schedules by itself."""

Work: TypeAlias = Callable[[ScheduleRecord], Awaitable[None]]
StepOf: TypeAlias = Callable[[str], ScheduleStep]
"""Gives the step of a schedule that is stored with an execution of this id."""


class NotStarted(DomainError):
    """Nothing was started for a firing, and nothing will be; the text says why."""


class OwnerGone(DomainError):
    """There is nobody (any more) with whose rights the schedule could run."""


class NotSeen(DomainError):
    """A blueprint that the schedule would run is not the one that its owner saw; the text says which."""


class TryAgain(DomainError):
    """Nothing can be started now; the same in a moment may succeed."""


class Starter(Protocol):
    """What starts and cancels executions with the rights of a schedule's owner: `service.firing.Firing`."""

    async def start(self, schedule: ScheduleRecord, step: StepOf) -> str:
        """Start an execution and store the step with it; returns its id.

        Raises NotStarted, OwnerGone, NotSeen, TryAgain, and Conflict when the schedule has changed in between.
        """
        ...

    async def cancel(self, schedule: ScheduleRecord, execution: str) -> None:
        """Cancel an execution of the schedule; raises NotStarted with the reason why not."""
        ...


@dataclass(frozen=True, slots=True)
class Alarm:
    """The clock that schedules go by, and what wakes the scheduler before its time."""

    wall: Callable[[], int]
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ends: Callable[[], object] = object
    """Gives another value once an execution has ended since; by itself, always another one."""

    def now(self) -> int:
        """Return UTC microseconds."""
        return self.wall()

    def ring(self) -> None:
        """Let the scheduler look at once."""
        self.news.set()


@dataclass(slots=True)
class Scheduler:
    """The scheduler. One for each coordinator."""

    store: ScheduleStore
    starter: Starter
    alarm: Alarm
    failpoints: Failpoints = field(default_factory=Failpoints)
    lost_until: int = 0
    """Up to when rows may have been lost by a restore from a backup; 0: there was none."""
    _busy: set[str] = field(default_factory=set)
    _to_release: set[str] = field(default_factory=set)
    """Schedules whose waiting firings may begin."""
    _seen: int | None = None
    """When it last looked."""
    _ends: object = None
    _looked: int = 0
    """When it last looked for ends: that costs what runs, and so is not done for each schedule that is due."""
    _work: Background = field(default_factory=Background)

    async def run(self) -> None:
        """Keep schedules until cancelled."""
        while True:
            self.alarm.news.clear()
            try:
                pause = await self.look()
            except StoreError as error:
                log.warning("schedules.not_read", error=str(error))
                pause = RETRY_PAUSE
            except Exception:
                # A defect about one schedule must not end all the others for good.
                log.exception("schedules.defect")
                pause = LONGEST_SLEEP
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.alarm.news.wait()

    async def close(self) -> None:
        """End what is under way: what is not stored is due again."""
        await self._work.cancel()

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await self._work.close()

    async def look(self) -> float:
        """Begin what is due, and return after how many seconds to look again."""
        now = self.alarm.now()
        if self._seen is None:
            self._to_release |= set(await self.store.all_waiting())
        if self._seen is None or now < self._seen - SECOND:
            await self._rewind(now)
            self._looked = 0
        self._seen = now
        ends = self.alarm.ends()
        if ends != self._ends or now - self._looked >= LONGEST_SLEEP * SECOND:
            await self._take_ends(now)
            self._ends, self._looked = ends, now
        for schedule in sorted(self._to_release - self._busy):
            if self._begin(schedule, self._release):
                self._to_release.discard(schedule)
        for row in await self.store.soonest(len(self._busy) + MOST_AT_WORK + 1):
            assert row.due_at is not None
            if row.id in self._busy:
                continue
            if row.due_at > now:
                return min(LONGEST_SLEEP, max(0.0, (row.due_at - self.alarm.now()) / SECOND))
            if not self._begin(row.id, self._fire):
                break  # whoever ends first wakes us
        return LONGEST_SLEEP

    # --- one schedule -----------------------------------------------------------------------------------------

    def _begin(self, schedule: str, work: Work) -> bool:
        if len(self._busy) >= MOST_AT_WORK:
            return False
        self._busy.add(schedule)
        self._work.spawn(self._working(schedule, work), f"schedule {schedule}")
        return True

    async def _working(self, schedule: str, work: Work) -> None:
        """Do one piece of work on a schedule as it is now; nothing else is done to it meanwhile."""
        try:
            await work(await self.store.get(schedule))
        except (Conflict, NotFound) as error:
            log.debug("schedule.changed_meanwhile", schedule=schedule, error=str(error))
        except (StoreError, TryAgain) as error:
            log.warning("schedule.put_off", schedule=schedule, error=str(error))
            if work == self._release:
                self._to_release.add(schedule)
            await asyncio.sleep(RETRY_PAUSE)
        except ScheduleRefused as error:
            await self._stop(schedule, f"it cannot be read any more: {error}")
        except Exception:
            log.exception("schedule.defect", schedule=schedule)
            await asyncio.sleep(LONGEST_SLEEP)
        finally:
            self._busy.discard(schedule)
            self.alarm.ring()

    async def _stop(self, id: str, reason: str) -> None:
        """Stop a schedule whose times nobody can tell."""
        log.error("schedule.stopped", schedule=id, reason=reason)
        with contextlib.suppress(StoreError):
            # If it is not stored now, it is due, and told, again.
            schedule, end = await self.store.get(id), End(State.STOPPED, reason[:LONGEST_REASON])
            await self.store.step(ScheduleStep(ended(schedule, end), audit=self._audit(schedule, end, reason)))

    async def _fire(self, schedule: ScheduleRecord) -> None:
        """Tell what becomes of the times of a schedule that are due."""
        now = self.alarm.now()
        first, due_at = schedule.next_nominal, schedule.due_at
        if first is None or due_at is None or due_at > now:
            return
        if now - first > LONGEST_OUTAGE:
            await self._skip_outage(schedule, first, now)
            return
        rules = rules_of(schedule, self.lost_until)
        times = timetable_of(schedule.timetable).after(first)
        due, more = await asyncio.to_thread(due_now, times, first, rules.delay, now)
        running = await self.store.running(schedule.id)
        waiting = await self.store.waiting(schedule.id)
        decision = decide(rules, due, more, now, running, len(waiting))
        self.failpoints.reach("coordinator.schedule.due")
        if decision.start is not None:
            await self._start(schedule, decision, decision.start, now)
            return
        await self.store.step(told_step(schedule, decision.told, now))
        self._log(schedule, decision.told)
        if decision.told[-1].outcome is Outcome.WAITING:
            if decision.cancel:
                await self._cancel(schedule, running)
            # What it waits for may have ended before it stood there.
            self._to_release.add(schedule.id)

    async def _start(self, schedule: ScheduleRecord, decision: Decision, nominal: int, now: int) -> None:
        def ran(execution: str) -> ScheduleStep:
            return told_step(schedule, (*decision.told, Told(nominal, Outcome.RAN)), now, execution=execution)

        def not_ran(reason: str, end: End | None, audit: tuple[AuditEntry, ...]) -> ScheduleStep:
            skipped = Told(nominal, Outcome.SKIPPED, reason)
            return told_step(schedule, (*decision.told, skipped), now, end=end, audit=audit)

        await self._try(schedule, nominal, ran, not_ran)

    async def _release(self, schedule: ScheduleRecord) -> None:
        """Begin the oldest firing that waits, once nothing of its schedule runs."""
        waiting = await self.store.waiting(schedule.id)
        if not waiting:
            return
        state, now = State(schedule.state), self.alarm.now()
        reason = ""
        if not (state is State.ACTIVE or state is State.FINISHED):
            reason = f"the schedule is {state.value} since" + (f": {schedule.note}" if schedule.note else "")
        elif waiting[0].recorded_at <= self.lost_until:
            reason = LOST
        if reason:
            await self.store.step(taken_step(schedule, waiting[0], Outcome.SKIPPED, now, reason=reason))
            self._to_release.add(schedule.id)
            return
        if await self.store.running(schedule.id):
            return  # its end brings us here again

        def ran(execution: str) -> ScheduleStep:
            return taken_step(schedule, waiting[0], Outcome.RAN, now, execution=execution)

        def not_ran(reason: str, end: End | None, audit: tuple[AuditEntry, ...]) -> ScheduleStep:
            return taken_step(schedule, waiting[0], Outcome.SKIPPED, now, reason=reason, end=end, audit=audit)

        self._to_release.add(schedule.id)
        await self._try(schedule, waiting[0].nominal, ran, not_ran)

    async def _try(
        self,
        schedule: ScheduleRecord,
        nominal: int,
        ran: StepOf,
        not_ran: Callable[[str, End | None, tuple[AuditEntry, ...]], ScheduleStep],
    ) -> None:
        """Start an execution for a time, or tell why none was."""
        try:
            execution = await self.starter.start(schedule, ran)
        except (Conflict, NotFound, StoreError, TryAgain):
            raise
        except Exception as error:
            reason, end = self._why_not(schedule, error)
            audit = self._audit(schedule, end, reason) if end is not None else ()
            await self.store.step(not_ran(reason, end, audit))
            log.warning("schedule.not_started", schedule=schedule.name, nominal=nominal, reason=reason)
            return
        self.failpoints.reach("coordinator.schedule.started")
        log.info("schedule.fired", schedule=schedule.name, nominal=nominal, execution=execution)

    def _why_not(self, schedule: ScheduleRecord, error: Exception) -> tuple[str, End | None]:
        if isinstance(error, OwnerGone):
            return str(error), End(State.STOPPED, str(error)[:LONGEST_REASON])
        if isinstance(error, NotSeen):
            reason = str(error)[:LONGEST_REASON]
            return reason, End(State.PAUSED, reason)
        if isinstance(error, NotStarted):
            reason = str(error)[:LONGEST_REASON]
        else:
            log.error("schedule.defect", schedule=schedule.name, exc_info=error)
            reason = f"the coordinator could not start it ({type(error).__name__}); its log says more"
        return reason, End(State.PAUSED, f"nothing could be started: {reason}") if schedule.pause_on_failure else None

    async def _cancel(self, schedule: ScheduleRecord, running: tuple[str, ...]) -> None:
        for execution in running:
            try:
                await self.starter.cancel(schedule, execution)
            except (NotStarted, OwnerGone) as error:
                log.warning("schedule.not_cancelled", schedule=schedule.name, execution=execution, reason=str(error))

    async def _skip_outage(self, schedule: ScheduleRecord, first: int, now: int) -> None:
        """Tell in one row of the times of a very long outage."""
        days = (now - first) // DAY
        reason = f"nobody was there for {days} days; the times until {LONGEST_OUTAGE // DAY} days ago have no row each"
        told = (Told(first, Outcome.MISSED, reason),)
        await self.store.step(told_step(schedule, told, now, resume_after=now - LONGEST_OUTAGE))
        self._log(schedule, told)

    # --- all schedules ----------------------------------------------------------------------------------------

    async def _take_ends(self, now: int) -> None:
        """Take into account that executions have ended: what waits for them may begin, or the schedule pauses."""
        while ends := await self.store.over():
            for firing in ends:
                await self._take_end(firing, now)

    async def _take_end(self, firing: FiringRecord, now: int) -> None:
        schedule = await self.store.get(firing.schedule)
        after = schedule
        audit: tuple[AuditEntry, ...] = ()
        if schedule.pause_on_failure and schedule.state == State.ACTIVE and firing.status in FAILED:
            note = f"{firing.execution} ended as {ExecutionStatus(firing.status).value}"
            after = replace(schedule, state=State.PAUSED, note=note)
            audit = self._audit(schedule, End(State.PAUSED, note), note)
            log.warning("schedule.paused", schedule=schedule.name, reason=note)
        with contextlib.suppress(Conflict):
            # Somebody sets it just now: it is still over at the next look.
            await self.store.step(ScheduleStep(after, closed=(firing.nominal,), audit=audit))
            self._to_release.add(schedule.id)

    async def _rewind(self, now: int) -> None:
        """Find the next times anew after the clock went back: what lies ahead was not missed after all."""
        number = 0
        while rows := await self.store.ahead(now, number):
            for schedule in rows:
                number, after = schedule.number, schedule
                newest = await self.store.newest(schedule.id, but_missed_after=now)
                state = State.ACTIVE if schedule.state == State.FINISHED else schedule.state
                note = "" if schedule.state == State.FINISHED else schedule.note
                with contextlib.suppress(ScheduleRefused):  # when it is due, it is stopped
                    after = timed(replace(schedule, last_nominal=newest, state=state, note=note), now)
                if after != schedule:
                    log.warning("schedule.clock_went_back", schedule=schedule.name, next=after.next_nominal)
                    with contextlib.suppress(Conflict):
                        await self.store.rewind(ScheduleStep(after), now)

    def _audit(self, schedule: ScheduleRecord, end: End, reason: str) -> tuple[AuditEntry, ...]:
        detail: dict[str, Json] = {
            "principal_kind": "coordinator",
            "schedule": schedule.name,
            "state": end.state.value,
            "reason": reason,
        }
        return (AuditEntry(self.alarm.now(), "coordinator", STEP, schedule.id, "allowed", detail),)

    def _log(self, schedule: ScheduleRecord, told: tuple[Told, ...]) -> None:
        for each in islice(reversed(told), 3):
            log.info(
                "schedule.told", schedule=schedule.name, nominal=each.nominal, outcome=each.outcome, reason=each.reason
            )
