"""The port between the attempts and whatever really runs them: processes here, plain values in the simulation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pilotage_proto.attempt import AttemptKey

from pilotage_agent.ledger import Entry, OutcomeFound, Recovered, WorkerGone, WorkerIdentity
from pilotage_agent.messages import Assignment, Query, QueryAnswer


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Whole lines of a log. `offset` is where they really begin: `dropped` bytes after the place that was asked for.
    `last`: the attempt has ended and nothing follows."""

    offset: int
    data: bytes
    dropped: int
    last: bool


class LogSource(Protocol):
    """One attempt's log, as the link reads it. Offsets count all bytes ever written, dropped ones included."""

    @property
    def key(self) -> AttemptKey:
        """Whose log it is."""

    def size(self) -> int:
        """Return how many bytes were written so far, cheaply; not all of them may be read before it has ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will be written."""

    async def read(self, offset: int, limit: int) -> LogPiece:
        """Return whole lines from `offset` on, at most `limit` bytes; nothing when the next line is longer."""

    def progress(self) -> tuple[float | None, str] | None:
        """Return the attempt's newest progress, if it told any."""


class LogSink(Protocol):
    """Where logs go that are to be sent."""

    def add(self, source: LogSource) -> None:
        """Send this log from now on."""

    def nudge(self, key: AttemptKey) -> None:
        """Look at this log now: it has ended."""


class Run(Protocol):
    """One attempt at a worker: prepared, then performed once."""

    @property
    def identity(self) -> WorkerIdentity:
        """The worker."""

    async def perform(self, entry: Entry) -> OutcomeFound | WorkerGone:
        """Hand the attempt to its worker, or go on watching it, and return how it ended. Call it once.

        `entry` is the attempt's STARTED entry, already journaled, with this run's worker in it.
        """

    def stop(self, reason: str) -> None:
        """Ask the step to stop, and make sure of it after a grace. Before `perform` it keeps the step from beginning
        at all. Returns at once; any number of times."""

    async def discard(self) -> None:
        """Give the worker back; the attempt never begins. Instead of `perform`."""


class Runner(Protocol):
    """Runs attempts and answers questions."""

    async def prepare(self, entry: Entry, assignment: Assignment) -> Run:
        """Get a worker ready; nothing of the step has begun. Raises WorkerLost, SealBroken,
        or OSError when the machine has no room."""

    async def reattach(self, entry: Entry) -> Run | OutcomeFound | WorkerGone:
        """Find out, after a restart of the agent, what is there of a STARTED attempt."""

    def left_behind(self, journaled: Iterable[AttemptKey]) -> Iterable[Entry]:
        """Return the attempts that a former agent process began, as far as traces of them are found, whether the
        journal knows them or not. Traces that cannot be read are put away once no worker can be making them any more;
        those of `journaled` stay."""

    def recovers(self, step_type: str) -> bool:
        """Whether the step type puts in order what an interrupted attempt left half done."""

    async def recover(self, entry: Entry) -> Recovered:
        """Let the step type put in order what the attempt left half done, when nothing of it is at work any more;
        tries again for a while when that fails. Never raises. Any number of times, also while an earlier call, of a
        former agent process, is at work: the two do not overlap."""

    async def probe(self, entry: Entry) -> Mapping[str, Any]:
        """Ask the step type what became of an interrupted attempt: `{"answer", "outputs", "evidence"}`."""

    async def query(self, query: Query) -> QueryAnswer:
        """Answer a read-only question; never raises."""

    def log_of(self, key: AttemptKey) -> LogSource | None:
        """Return the log of an attempt that has one here."""

    def logs(self) -> Iterable[LogSource]:
        """Return every log that is here, also of attempts that are settled."""

    def last_lines(self, key: AttemptKey) -> list[str]:
        """Return the last lines of an attempt's log, for evidence."""

    def settle(self, key: AttemptKey) -> None:
        """The attempt's result is acknowledged; only its log may still be wanted."""

    def log_sent(self, key: AttemptKey) -> None:
        """The coordinator has the whole log."""
