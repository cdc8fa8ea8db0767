"""What faces ask of schedules."""

from typing import Annotated, TypeAlias

from pydantic import Field, JsonValue, StringConstraints, model_validator

from pilotage_coordinator.service.executions import Reference
from pilotage_coordinator.service.plans import Selector
from pilotage_coordinator.service.requested import ClassName
from pilotage_coordinator.service.schedule_view import OverlapName
from pilotage_coordinator.service.wire import Name, PageRequest, Reason, Request, shaped

ScheduleName = Annotated[
    str,
    *shaped(
        r"[a-z0-9][a-z0-9_.-]{0,99}",
        "a schedule's name has at most 100 of a-z, 0-9, _ . and -, and begins with a letter or digit",
    ),
]
Cron = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Span = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Time = Annotated[str, StringConstraints(max_length=40)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Texts: TypeAlias = dict[str, str]


class CreateSchedule(Request):
    """Make a schedule of a stored blueprint: exactly one of `cron`, `every` and `at` says when.

    `at`, `start` and `end` are RFC 3339, or times of the zone's wall clock.
    """

    name: ScheduleName
    blueprint: Name
    """`id`, `id@1` or `id@1.2.0`: found anew at each firing."""
    cron: Cron | None = None
    every: Span | None = None
    at: Time | None = None
    timezone: Zone = "UTC"
    start: Time = ""
    end: Time = ""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    parameter_texts: Texts = Field(default_factory=dict)
    limit_to: Selector = ""
    overlap: OverlapName = "skip"
    catchup: Span = "10m"
    jitter: Span = "0s"
    count: Count = 0
    pause_on_failure: bool = False
    reason: Reason = ""
    reference: Reference = ""
    change_class: ClassName | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _exactly_one(self) -> "CreateSchedule":
        if sum(each is not None for each in (self.cron, self.every, self.at)) != 1:
            raise ValueError("give exactly one of cron, every and at")
        return self

    def subject(self) -> str:
        return self.name


class UpdateSchedule(Request):
    """Change a schedule. What is not given stays; an empty `start` or `end` takes it away. You become its owner."""

    schedule: Name
    blueprint: Name | None = None
    cron: Cron | None = None
    every: Span | None = None
    at: Time | None = None
    timezone: Zone | None = None
    start: Time | None = None
    end: Time | None = None
    parameters: dict[str, JsonValue] | None = None
    """Instead of all that it has."""
    parameter_texts: Texts = Field(default_factory=dict)
    """Beside those that it has."""
    limit_to: Selector | None = None
    overlap: OverlapName | None = None
    catchup: Span | None = None
    jitter: Span | None = None
    count: Count | None = None
    pause_on_failure: bool | None = None
    reason: Reason | None = None
    reference: Reference | None = None
    change_class: ClassName | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> "UpdateSchedule":
        if sum(each is not None for each in (self.cron, self.every, self.at)) > 1:
            raise ValueError("give one of cron, every and at")
        return self

    def subject(self) -> str:
        return self.schedule


class OneSchedule(Request):
    """A schedule, by name or id."""

    schedule: Name

    def subject(self) -> str:
        return self.schedule


class SteerSchedule(OneSchedule):
    """Enable, pause, resume, cancel or run a schedule; `reason` says why."""

    reason: Reason = ""


class ListSchedules(PageRequest):
    """Ask for schedules, newest first; cancelled ones on demand."""

    cancelled: bool = False


class ListFirings(PageRequest):
    """Ask what became of a schedule's times, newest first."""

    schedule: Name

    def subject(self) -> str:
        return self.schedule


class AskUpcoming(Request):
    """Ask for times to come: of one schedule, or of all that are active."""

    schedule: Name | None = None
    count: Annotated[int, Field(ge=1, le=500)] = 10
    hours: Annotated[int, Field(ge=1, le=24 * 366)] | None = None
    """None later than so many hours from now."""

    def subject(self) -> str:
        return self.schedule or ""


class ExplainCron(Request):
    """Ask what a cron expression means."""

    cron: Cron
    timezone: Zone = "UTC"
    count: Annotated[int, Field(ge=1, le=100)] = 5
