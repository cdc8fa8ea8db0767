"""After a restore: hear from every agent which epoch it has seen, before any of them gets a session."""

import asyncio
from collections.abc import Callable, Collection

from pilotage_coordinator.fleet.errors import RefusalReason, Refused
from pilotage_coordinator.fleet.messages import Hello
from pilotage_coordinator.fleet.peer import Peer
from pilotage_coordinator.fleet.registry import Registry
from pilotage_coordinator.fleet.roster import Roster, Seat
from pilotage_coordinator.fleet.session import Session
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.fleet.transport import Transport
from pilotage_coordinator.runtime.witnesses import Witnesses
from pilotage_coordinator.structured import structlog

_log = structlog.get_logger("pilotage.fleet")

LARGEST_CLAIM = 1_000_000
"""Epochs above ours that a host may report: one a start, so no coordinator has come further, whatever an agent says."""


class Muster(Roster):
    """A roster that admits nobody: it notes what a greeting says of epochs, and asks the agent to come again."""

    def __init__(
        self,
        registry: Registry,
        settings: SessionSettings,
        epoch: int,
        clock: Callable[[], int],
        token: Callable[[], str],
        hosts: Collection[str],
        witnesses: Witnesses | None = None,
    ) -> None:
        """`hosts`: the names of those that are to be heard."""
        super().__init__(registry, settings, epoch, clock, token, witnesses)
        self.missing = set(hosts)
        self._complete = asyncio.Event()
        if not self.missing:
            self._complete.set()

    async def gather(self, seconds: float) -> int:
        """Return the highest epoch that agents report, once all have, or after so many seconds."""
        try:
            await asyncio.wait_for(self._complete.wait(), seconds)
        except TimeoutError:
            _log.warning("muster.incomplete", missing=len(self.missing), hosts=sorted(self.missing)[:20])
        return self.highest_epoch_seen

    async def _admit(self, peer: Peer, seat: Seat, hello: Hello, transport: Transport) -> tuple[Session, int]:
        claimed = hello.greeting.highest_epoch
        if claimed > self._epoch + LARGEST_CLAIM:
            raise Refused(
                RefusalReason.BAD_MESSAGE,
                f"{peer.host} claims epoch {claimed}; this coordinator is at {self._epoch}, and no other can be so far",
                retry=False,
            )
        self.highest_epoch_seen = max(self.highest_epoch_seen, claimed)
        if self._witnesses is not None:
            await self._witnesses.heard(peer.host, hello.greeting.witness)
        self.missing.discard(peer.host)
        if not self.missing:
            self._complete.set()
        raise Refused(
            RefusalReason.STALE_SESSION,
            "this coordinator was restored and hears every host first; come again in a moment",
            retry=True,
        )
