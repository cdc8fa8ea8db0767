"""What waits to be sent to the coordinator; bounded, because everything in it belongs to an open attempt.

Results go first. An ACCEPTED or STARTED waits a moment, because a quick attempt's result makes both superfluous.
Of progress only the newest per attempt is kept. Logs are not in here (see link/log_feed.py). The content may be lost
at any time without harm: the journal says again what matters.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import Final

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.limits import FULL_MESSAGE

from pilotage_agent.messages import Accepted, AgentItem, Heartbeat, Inventory, Progress, QueryAnswer, Result, Started

NOTICE_SECONDS: Final = 0.2
"""How long ACCEPTED and STARTED wait for something newer about the same attempt: no longer than people notice, and
longer than a quick step takes on a busy machine, which would otherwise have to send and store twice as much."""

PROGRESS_SECONDS: Final = 0.5
"""Progress of one attempt is sent at most this often."""

BATCH: Final = 256
"""Items in one message; fewer when FULL_MESSAGE is reached. An inventory, which may be large, goes alone."""


class Outbox:
    """A queue with a memory for what makes what superfluous. `clock` is the loop's monotonic time, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._results: dict[AttemptKey, Result] = {}
        self._notices: dict[AttemptKey, tuple[float, Accepted | Started]] = {}
        self._progress: dict[AttemptKey, Progress] = {}
        self._progress_sent: dict[AttemptKey, float] = {}
        self._answers: deque[QueryAnswer] = deque()
        self._heartbeat: Heartbeat | None = None
        self._inventory: Inventory | None = None
        self._news = asyncio.Event()

    def result(self, result: Result) -> None:
        """Report how an attempt ended."""
        self._results[result.key] = result
        self._notices.pop(result.key, None)
        self._progress.pop(result.key, None)
        self._progress_sent.pop(result.key, None)
        self._news.set()

    def notice(self, notice: Accepted | Started) -> None:
        """Report how far an attempt is, unless something newer comes at once."""
        due = self._clock() + NOTICE_SECONDS
        if earlier := self._notices.get(notice.key):
            due = earlier[0]
        self._notices[notice.key] = (due, notice)
        self._news.set()

    def progress(self, progress: Progress) -> None:
        """Report the newest progress of a running attempt."""
        self._progress[progress.key] = progress
        self._news.set()

    def answer(self, answer: QueryAnswer) -> None:
        """Report the answer to a query."""
        self._answers.append(answer)
        self._news.set()

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        """Show that the agent lives."""
        self._heartbeat = heartbeat
        self._news.set()

    def inventory(self, inventory: Inventory) -> None:
        """Report the host's newest facts and step types."""
        self._inventory = inventory
        self._news.set()

    def wake(self) -> None:
        """Let the sender look again; for news that is not in the outbox."""
        self._news.set()

    def take(self) -> list[AgentItem]:
        """Return what is due now, in the order in which it must be sent, and forget it."""
        items: list[AgentItem] = []
        size = 0
        for key in list(self._results)[:BATCH]:
            result = self._results.pop(key)
            items.append(result)
            size += size_of(result)
            if size > FULL_MESSAGE:
                return items
        while self._answers and len(items) < BATCH and size <= FULL_MESSAGE:
            answer = self._answers.popleft()
            items.append(answer)
            size += len(answer.answer) + len(answer.error)
        if not items and self._inventory is not None:
            items.append(self._inventory)
            self._inventory = None
            return items
        now = self._clock()
        for key, (due, notice) in list(self._notices.items()):
            if due > now or len(items) >= BATCH:
                break
            del self._notices[key]
            items.append(notice)
        if self._heartbeat is not None:
            items.append(self._heartbeat)
            self._heartbeat = None
        for key in [key for key in self._progress if self._may_send_progress(key, now)][:BATCH]:
            items.append(self._progress.pop(key))
            self._progress_sent[key] = now
        return items

    async def wait(self) -> None:
        """Return when there may be something to take."""
        left = self._until_due()
        if left is None or left > 0:
            try:
                # Not wait_for, which makes a task for each wait.
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                return
        self._news.clear()

    def clear(self) -> None:
        """Forget everything: a new session tells what matters from the journal."""
        for held in (self._results, self._notices, self._progress, self._progress_sent, self._answers):
            held.clear()
        self._news.clear()
        self._heartbeat = self._inventory = None

    def _may_send_progress(self, key: AttemptKey, now: float) -> bool:
        return now - self._progress_sent.get(key, float("-inf")) >= PROGRESS_SECONDS

    def _until_due(self) -> float | None:
        """Return the seconds until something is due by time alone; None when nothing is."""
        if self._results or self._answers or self._heartbeat or self._inventory:
            return 0.0
        # They are in the order in which they are due.
        moments = [due for due, _ in itertools.islice(self._notices.values(), 1)]
        moments += [self._progress_sent.get(key, 0.0) + PROGRESS_SECONDS for key in self._progress]
        return max(0.0, min(moments) - self._clock()) if moments else None


def size_of(result: Result) -> int:
    """Return about how many bytes a result takes in a message."""
    return len(result.outputs) + len(result.evidence) + len(result.error.encode())
