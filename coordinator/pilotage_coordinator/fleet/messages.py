"""What an agent says on its stream, as values; what has a domain value of its own is that value."""

from dataclasses import dataclass

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.fleet import (
    AttemptReport,
    Greeting,
    HostInventory,
    JournalEntry,
    LogPiece,
    QueryAnswer,
)


@dataclass(frozen=True, slots=True)
class Hello:
    """The first item of every session."""

    protocol_min: int
    protocol_max: int
    greeting: Greeting
    inventory: HostInventory


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Some open entries of the agent's journal; `complete` marks the last page, `size` is its bytes on the wire."""

    entries: tuple[JournalEntry, ...]
    complete: bool
    size: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The attempt is in the agent's journal."""

    key: AttemptKey
    epoch: int


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt runs since `started_at`, by the agent's clock."""

    key: AttemptKey
    epoch: int
    started_at: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is: 0 to 1, or None if unknown."""

    key: AttemptKey
    fraction: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The agent lives; `nonce` echoes the ping that it answers, if any."""

    clock: int
    nonce: str
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one query."""

    query_id: str
    answer: QueryAnswer


AgentMessage = (
    Hello
    | JournalPage
    | Accepted
    | Started
    | AttemptReport
    | LogPiece
    | Progress
    | Heartbeat
    | HostInventory
    | Answered
)
