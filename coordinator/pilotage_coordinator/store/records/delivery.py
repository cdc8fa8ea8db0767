"""Rows of notifications and their delivery."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage_coordinator.domain.plan import Json


@dataclass(frozen=True, slots=True)
class NotificationRecord:
    """A message that a step handed over, as it is recorded with the step's end."""

    id: str
    execution: str
    path: str
    host: str
    item: str
    channel: str
    message: Mapping[str, Json]
    recorded_at: int


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One row of deliveries."""

    notification: NotificationRecord
    status: str
    """`waiting`, `delivered` or `dead`."""
    attempts: int
    """How many tries have failed since it was recorded or retried, and the one that succeeded."""
    due_at: int
    """When it is tried next (UTC microseconds), while it waits."""
    ended_at: int | None
    error: str
    """Why the last try failed; of one that was delivered, what was wrong all the same."""
    number: int = 0
    """The order of recording."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The end of a delivery that failed for good."""

    notification: str
    attempts: int
    at: int
    error: str


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; empty fields filter nothing."""

    status: str = ""
    execution: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryFigures:
    """How deliveries are: those that are delivered are not counted."""

    waiting: int
    failing: int
    """Those of the waiting that have failed at least once."""
    dead: int
