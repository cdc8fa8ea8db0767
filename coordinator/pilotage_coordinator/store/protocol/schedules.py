"""The port to schedules and what became of their times."""

from typing import Protocol

from pilotage_coordinator.store.records import AuditEntry, FiringRecord, Page, ScheduleRecord, ScheduleStep


class ScheduleStore(Protocol):
    """Schedules. One that starts an execution steps forward with its creation (`ExecutionCreation.schedule`)."""

    async def add(self, schedule: ScheduleRecord, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Store a new schedule; raises Refused when another one that is not cancelled has its name."""
        ...

    async def step(self, step: ScheduleStep) -> None:
        """Store one step forward.

        Raises Conflict when the schedule has changed in between or a time has a row already, Refused for a name that
        another one has, NotFound.
        """
        ...

    async def get(self, schedule: str) -> ScheduleRecord:
        """Return a schedule by id, or by name unless it is cancelled; raises NotFound."""
        ...

    async def find(self, cursor: str = "", limit: int = 50, *, cancelled: bool = False) -> Page[ScheduleRecord]:
        """List schedules, newest first; cancelled ones only on demand."""
        ...

    async def soonest(self, limit: int) -> tuple[ScheduleRecord, ...]:
        """Return the schedules that are due first, in that order. Cost: those."""
        ...

    async def standing(self) -> tuple[ScheduleRecord, ...]:
        """Return the schedules that are stopped or paused: each one's note says why."""
        ...

    async def ahead(self, now: int, after: int = 0, limit: int = 100) -> tuple[ScheduleRecord, ...]:
        """Return schedules that have told of times later than now, the clock having gone back since: those with a
        number above `after`, by number."""
        ...

    async def rewind(self, step: ScheduleStep, after: int) -> None:
        """Take back what was called missed later than `after`, with a step forward of its schedule; as `step`."""
        ...

    async def newest(self, schedule: str, *, but_missed_after: int) -> int | None:
        """Return the newest nominal time that has a row, without those that `rewind` would take back."""
        ...

    async def firings(self, schedule: str, cursor: str = "", limit: int = 50) -> Page[FiringRecord]:
        """List firings of a schedule by its id, newest time first."""
        ...

    async def running(self, schedule: str) -> tuple[str, ...]:
        """Return the executions of a schedule that are not over, oldest first; of many only the newest hundred."""
        ...

    async def waiting(self, schedule: str) -> tuple[FiringRecord, ...]:
        """Return the firings of a schedule that wait, oldest first."""
        ...

    async def all_waiting(self) -> tuple[str, ...]:
        """Return the ids of schedules with firings that wait. Cost: those firings."""
        ...

    async def over(self, limit: int = 100) -> tuple[FiringRecord, ...]:
        """Return firings whose executions have ended and that are still open. Cost: the open ones."""
        ...

    async def prune(self, before: int, rows: int = 1000) -> int:
        """Remove firings that were recorded before a time and are over; return how many, at most `rows`."""
        ...
