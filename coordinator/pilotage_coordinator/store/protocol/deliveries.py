"""The port to notifications that wait for delivery, and what became of them."""

from typing import Protocol

from pilotage_coordinator.store.records import (
    AuditEntry,
    DeliveryFigures,
    DeliveryFilter,
    DeliveryRecord,
    Page,
)


class DeliveryStore(Protocol):
    """The outbox. Rows come and are given up with the change of their execution (`ExecutionStore.commit`), and go with
    it in retention. Nothing here costs more for a longer history."""

    async def channels(self) -> tuple[str, ...]:
        """Return the channels for which something waits, by name. Cost: what waits."""
        ...

    async def first(self, channel: str) -> DeliveryRecord | None:
        """Return what is due soonest in a channel, maybe in the future; None when nothing waits.

        Of one execution only the oldest that waits in the channel is due: its messages keep their order.
        """
        ...

    async def get(self, notification: str) -> DeliveryRecord:
        """Return a delivery; raises NotFound."""
        ...

    async def find(
        self, filter: DeliveryFilter | None = None, cursor: str = "", limit: int = 50
    ) -> Page[DeliveryRecord]:
        """List deliveries, newest recorded first. `limit` 1 to 1,000; a page also ends after about 1 MiB."""
        ...

    async def figures(self) -> DeliveryFigures:
        """Return how many wait and how many are dead. Cost: those."""
        ...

    async def delivered(self, notification: str, attempts: int, at: int, note: str = "") -> None:
        """Note that the receiver has taken it; raises Conflict when it does not wait (any more)."""
        ...

    async def put_off(self, notification: str, attempts: int, due_at: int, error: str) -> None:
        """Note a try that failed, and when the next is due; raises Conflict when it does not wait (any more)."""
        ...

    async def retry(self, notification: str, at: int, audit: tuple[AuditEntry, ...] = ()) -> None:
        """Let a dead one wait again, due at once and with all its tries.

        Raises NotFound, and Refused for one that is not dead.
        """
        ...
