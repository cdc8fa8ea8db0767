"""What waits to be sent to one agent: in order, within the agent's slots, each thing once."""

from collections import deque
from collections.abc import Callable

from pilotage_proto.attempt import AttemptKey
from pilotage_proto.limits import FULL_MESSAGE, LARGEST_ITEM, MOST_ITEMS
from pilotage_proto.v1 import fleet_pb2 as pb

from pilotage_coordinator.domain.fleet import Assignment, SignedPlan
from pilotage_coordinator.fleet.wire import write_assignment, write_cancel, write_log_ack, write_signed_plan

MOST_SHOWN = 1_000
"""Plans of which it is remembered that a session was shown them; another is shown again."""


class Outbox:
    """The outgoing side of a session. Pure bookkeeping: no clock, no I/O.

    An attempt occupies a slot from the time it is taken out for sending (or was found started in the journal) until
    `answered`. Assignments beyond the slots wait here.
    """

    def __init__(
        self,
        slots: int,
        wake: Callable[[], None],
        too_large: Callable[[Assignment, int], None] = lambda assignment, size: None,
    ) -> None:
        """`wake` is called whenever there may be something new to take, `too_large` for an assignment that no message
        can carry, with its bytes: it is not queued."""
        self._slots = slots
        self._wake = wake
        self._too_large = too_large
        self._ready: deque[pb.CoordinatorItem] = deque()
        self._waiting: dict[AttemptKey, pb.CoordinatorItem] = {}
        self._sent: set[AttemptKey] = set()
        self._occupied: set[AttemptKey] = set()
        self._cancelled: set[AttemptKey] = set()
        self._shown: dict[str, SignedPlan] = {}
        """Execution to what this session was shown of its plan."""
        self._log_acks: dict[AttemptKey, int] = {}
        self._open = False
        self._closed = False

    @property
    def unsent(self) -> int:
        """Return how many items are ready to be sent, assignments not counted."""
        return len(self._ready) + len(self._log_acks)

    @property
    def waiting(self) -> int:
        """Return how many assignments wait for a slot or for the journal."""
        return len(self._waiting)

    @property
    def occupied(self) -> int:
        """Return how many slots are taken."""
        return len(self._occupied)

    def occupy(self, key: AttemptKey) -> None:
        """Note an attempt that the agent has started already."""
        self._occupied.add(key)

    def open(self) -> None:
        """Let assignments and cancels go: the journal is reconciled."""
        self._open = True
        self._wake()

    def push(self, item: pb.CoordinatorItem) -> None:
        """Queue an item that needs no slot."""
        if not self._closed:
            self._ready.append(item)
            self._wake()

    def acknowledge_log(self, key: AttemptKey, offset: int) -> None:
        """Queue the newest acknowledged offset of a log; an older unsent one is replaced."""
        if not self._closed:
            self._log_acks[key] = offset
            self._wake()

    def assign(self, assignment: Assignment) -> None:
        """Queue an attempt, unless it was queued, sent or cancelled in this session already."""
        key = assignment.key
        if self._closed or key in self._sent or key in self._waiting or key in self._cancelled:
            return
        item = write_assignment(assignment)
        if (size := item.ByteSize()) > LARGEST_ITEM:
            self._too_large(assignment, size)
            return
        if assignment.signed_plan is not None and not self._show(assignment.signed_plan, assignment):
            return
        self._waiting[key] = item
        self._wake()

    def _show(self, plan: SignedPlan, assignment: Assignment) -> bool:
        """Queue a plan before the first attempt that needs it, and again when it has changed; says whether it fits."""
        if self._shown.get(plan.execution) is plan or self._shown.get(plan.execution) == plan:
            return True
        item = write_signed_plan(plan)
        if (size := item.ByteSize()) > LARGEST_ITEM:
            self._too_large(assignment, size)
            return False
        self._shown[plan.execution] = plan
        if len(self._shown) > MOST_SHOWN:
            del self._shown[next(iter(self._shown))]
        self._ready.append(item)
        return True

    def cancel(self, key: AttemptKey, epoch: int, reason: str) -> None:
        """Withdraw the attempt if it still waits, and queue the cancel, once."""
        self._waiting.pop(key, None)
        if self._closed or key in self._cancelled:
            return
        self._cancelled.add(key)
        self._ready.append(write_cancel(key, epoch, reason))
        self._wake()

    def answered(self, key: AttemptKey) -> None:
        """The attempt's end is stored: its slot is free, and nothing about it needs to be remembered."""
        self._waiting.pop(key, None)
        self._sent.discard(key)
        self._cancelled.discard(key)
        if key in self._occupied:
            self._occupied.discard(key)
            self._wake()

    def close(self, farewell: pb.CoordinatorItem | None) -> None:
        """Take nothing more; what needs no slot is still sent, then `farewell`."""
        if self._closed:
            return
        self._closed = True
        self._waiting.clear()
        if farewell is not None:
            self._ready.append(farewell)
        self._wake()

    def take(self) -> list[pb.CoordinatorItem]:
        """Return the items of the next message; empty if there is nothing to send now."""
        items: list[pb.CoordinatorItem] = []
        size = 0
        while self._ready and len(items) < MOST_ITEMS and size < FULL_MESSAGE:
            item = self._ready.popleft()
            size += item.ByteSize()
            items.append(item)
        while self._log_acks and len(items) < MOST_ITEMS and not self._closed:
            key = next(iter(self._log_acks))
            items.append(write_log_ack(key, self._log_acks.pop(key)))
        if not self._open:
            return items
        while self._waiting and len(items) < MOST_ITEMS and size < FULL_MESSAGE:
            key = next(iter(self._waiting))
            if key not in self._occupied and len(self._occupied) >= self._slots:
                break
            item = self._waiting.pop(key)
            self._occupied.add(key)
            self._sent.add(key)
            size += item.ByteSize()
            items.append(item)
        return items
