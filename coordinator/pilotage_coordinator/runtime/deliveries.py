"""Delivers notifications: from the rows that wait, to the channels of the configuration, at least once each.

What is due is in the table alone, so that a crash at any point loses nothing: a message is sent again until the store
knows that the receiver has taken it. Receivers tell a repeated one by its id. Each channel has one worker at a time:
a slow receiver keeps nobody else waiting, and there are never more sends at once than channels.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from pilotage_coordinator.domain.channel import not_configured
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.inputs import DeliveryGivenUp, Input
from pilotage_coordinator.domain.notification import plain
from pilotage_coordinator.domain.values import SECOND
from pilotage_coordinator.runtime.background import RETRY_PAUSE, Background
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.failpoint import Failpoints
from pilotage_coordinator.store.errors import Conflict, NotFound, StoreError
from pilotage_coordinator.store.protocol import DeliveryStore
from pilotage_coordinator.store.records import AuditEntry, DeliveryRecord
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.notifications")

MOST_TRIES: Final = 15
FIRST_PAUSE: Final = 5 * SECOND
LONGEST_PAUSE: Final = 3600 * SECOND
"""Microseconds. The pauses double: fifteen tries take some six hours."""
LONGEST_SLEEP: Final = 30.0
"""Seconds after which the table is looked at in any case."""
LONGEST_ERROR: Final = 500


class NotDelivered(DomainError):
    """A try failed; the text says why, without any secret, and what may help."""


class Sender(Protocol):
    """One channel."""

    async def send(self, delivery: DeliveryRecord) -> str:
        """Hand a message to the receiver, within a bounded time; return what was wrong all the same, or "".

        Raises NotDelivered. The same notification may be sent again: it carries its id for the receiver to notice.
        """
        ...


def pause_after(tries: int, draw: float) -> int:
    """Return how long to wait after so many failed tries (microseconds); `draw` from 0 to 1 spreads them by half."""
    return round(min(LONGEST_PAUSE, FIRST_PAUSE << min(tries - 1, 20)) * (0.5 + draw))


@dataclass(slots=True)
class Deliveries:
    """The delivery loop. One for each coordinator."""

    store: DeliveryStore
    senders: Mapping[str, Sender]
    """By the name of the channel."""
    give_up: Callable[[str, Input], Awaitable[None]]
    """Tells an execution that one of its messages is lost; returns once that is durable."""
    clock: Clock
    random: Callable[[], float]
    """Draws from 0 to 1."""
    queued: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by whoever has recorded something."""
    failpoints: Failpoints = field(default_factory=Failpoints)
    _busy: set[str] = field(default_factory=set)
    _work: Background = field(default_factory=Background)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self.queued.clear()
            try:
                pause = await self._begin_what_is_due()
            except StoreError as error:
                log.warning("notifications.not_read", error=str(error))
                pause = RETRY_PAUSE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.queued.wait()

    async def close(self) -> None:
        """End the sends that are under way: what the store does not know as delivered is sent again."""
        await self._work.cancel()

    async def retry(self, notification: str, *, audit: tuple[AuditEntry, ...]) -> DeliveryRecord:
        """Let a dead one wait again; raises store.NotFound, and store.Refused for one that is not dead."""
        await self.store.retry(notification, self.clock.now(), audit)
        self.queued.set()
        return await self.store.get(notification)

    async def _begin_what_is_due(self) -> float:
        """Start a worker for each channel with something due; return after how many seconds to look again."""
        soonest = self.clock.now() + round(LONGEST_SLEEP * SECOND)
        for channel in await self.store.channels():
            if channel in self._busy:
                continue
            first = await self.store.first(channel)
            if first is not None and first.due_at <= self.clock.now():
                self._busy.add(channel)
                self._work.spawn(self._drain(channel), f"deliver to {channel}")
            elif first is not None:
                soonest = min(soonest, first.due_at)
        return max(0.0, (soonest - self.clock.now()) / SECOND)

    async def _drain(self, channel: str) -> None:
        """Send what is due in a channel, one after the other."""
        try:
            while (delivery := await self.store.first(channel)) is not None and delivery.due_at <= self.clock.now():
                await self._deliver(delivery)
        except StoreError as error:
            log.warning("notifications.not_read", channel=channel, error=str(error))
            await asyncio.sleep(RETRY_PAUSE)
        finally:
            self._busy.discard(channel)
            self.queued.set()

    async def _deliver(self, delivery: DeliveryRecord) -> None:
        """Make one try, and store what came of it before anything else is sent in this channel."""
        notification, tries = delivery.notification, delivery.attempts + 1
        try:
            note = await self._send(delivery)
        except NotDelivered as error:
            reason = plain(str(error))[:LONGEST_ERROR]
            log.warning("notification.not_delivered", id=notification.id, channel=notification.channel, error=reason)
            if tries >= MOST_TRIES:
                lost = DeliveryGivenUp(notification.id, notification.channel, tries, reason)
                await self._give_up(delivery, lost)
                return
            due = self.clock.now() + pause_after(tries, self.random())
            await self._stored(lambda: self.store.put_off(notification.id, tries, due, reason))
            return
        self.failpoints.reach("coordinator.notification.sent")
        await self._stored(
            lambda: self.store.delivered(notification.id, tries, self.clock.now(), plain(note)[:LONGEST_ERROR])
        )
        log.info("notification.delivered", id=notification.id, channel=notification.channel, tries=tries)

    async def _send(self, delivery: DeliveryRecord) -> str:
        channel = delivery.notification.channel
        sender = self.senders.get(channel)
        if sender is None:
            raise NotDelivered("; ".join(not_configured(channel, self.senders)))
        try:
            return await sender.send(delivery)
        except NotDelivered:
            raise
        except Exception as error:
            # A defect towards one receiver must end neither this channel nor the others.
            log.exception("notification.defect", id=delivery.notification.id, channel=channel)
            kind = type(error).__name__
            raise NotDelivered(f"the coordinator could not send it ({kind}); its log says more") from error

    async def _give_up(self, delivery: DeliveryRecord, lost: DeliveryGivenUp) -> None:
        """Tell the execution; what it cannot take now, try again later and let others of the channel go on."""
        notification = delivery.notification
        try:
            await self.give_up(notification.execution, lost)
        except Exception as error:
            # Whatever it was, a conflict too: what still waits and stays due would be sent again at once, for ever.
            log.warning("notification.not_given_up", id=notification.id, error=str(error))
            due = self.clock.now() + LONGEST_PAUSE
            await self._stored(lambda: self.store.put_off(notification.id, lost.attempts, due, lost.error))

    async def _stored(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until the store takes it. Sending again in the meantime would flood people while the disk is full."""
        while True:
            try:
                await write()
            except (Conflict, NotFound):
                # It is stored already (a write of unknown fate), or gone with its execution.
                return
            except StoreError as error:
                log.warning("notification.outcome_not_stored", error=str(error))
                await asyncio.sleep(RETRY_PAUSE)
            else:
                return
