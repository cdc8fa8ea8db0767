"""The two sides of the border between the runtime and the fleet: what it may ask, and what it is told.

`FleetPort` is implemented by the room `fleet` (gRPC sessions) and by the simulation; `FleetListener` by the runtime.
"""

from collections.abc import Sequence
from typing import Protocol

from pilotage_proto.attempt import AttemptKey

from pilotage_coordinator.domain.fleet import (
    Assignment,
    AttemptReport,
    Greeting,
    HostInventory,
    JournalEntry,
    LogPiece,
    Query,
    QueryAnswer,
)


class HostUnreachable(Exception):
    """The host has no session now; the text names it."""


class FleetPort(Protocol):
    """Sends to agents. Nothing sent is assumed delivered: what matters is answered through the listener.

    `assign` and `cancel` never wait for the network: they queue for the host's session, in order, bounded by the
    agent's slots (beyond them an assignment waits here), and drop when there is no session. The runtime sends all
    that is still open again when a session opens.
    """

    def online(self, host: str) -> bool:
        """Return whether the host has a reconciled session."""
        ...

    def assign(self, assignment: Assignment) -> None:
        """Queue an attempt for `assignment.key.host`. A key already queued or sent in this session is not repeated."""
        ...

    def cancel(self, key: AttemptKey, epoch: int, reason: str) -> None:
        """Queue a cancel; an assignment that still waits in the queue for that key is withdrawn first."""
        ...

    async def query(self, host: str, query: Query) -> QueryAnswer:
        """Ask a host; raises HostUnreachable when it has no session or loses it, or after the query's timeout."""
        ...

    def sealing_key(self, host: str) -> bytes:
        """Return the X25519 public key that secrets for `host` are sealed to; raises HostUnreachable if unknown."""
        ...

    def reconnect(self, host: str, reason: str) -> None:
        """End the host's session, also one that is only opening, and ask its agent to dial again at once.

        What it runs goes on; its journal is compared with what is open then.
        """
        ...

    async def disconnect(self, host: str, reason: str) -> None:
        """End the host's session at once (revoked, quarantined)."""
        ...


class FleetListener(Protocol):
    """Is told what agents say. `host` is always the name in the certificate, never one from a message.

    Every method may be called concurrently for different hosts, in order for one host. A message about an attempt of
    another host never reaches the listener: the fleet refuses the session.
    """

    async def session_opened(
        self, host: str, greeting: Greeting, inventory: HostInventory, journal: Sequence[JournalEntry]
    ) -> None:
        """Reconcile with the agent's journal. Until it returns, `online(host)` is false and nothing is assigned.

        Reports of exited entries are handled by `result`, which the fleet calls for them after this returns.
        """
        ...

    async def session_ready(self, host: str) -> None:
        """The session is reconciled and `online(host)` is true: send what is still open for the host."""
        ...

    async def session_closed(self, host: str, reason: str) -> None:
        """The host's session ended; what was sent may or may not have arrived."""
        ...

    async def accepted(self, host: str, key: AttemptKey, epoch: int) -> None:
        """The agent has taken the attempt into its journal."""
        ...

    async def started(self, host: str, key: AttemptKey, epoch: int, started_at: int) -> None:
        """The attempt runs."""
        ...

    async def result(self, host: str, report: AttemptReport) -> bool:
        """Take the end of an attempt; returns once it is durable.

        True: acknowledge, the agent may forget. False: do not (the coordinator cannot store it now); the agent keeps
        it and the fleet offers it again later. A report for an unknown or already ended attempt is acknowledged and
        changes nothing.
        """
        ...

    async def log(self, host: str, piece: LogPiece) -> int | None:
        """Keep a piece of log; returns the offset before which everything is kept.

        None: it cannot be stored now; the fleet acknowledges nothing and offers it again later.
        """
        ...

    def progress(self, host: str, key: AttemptKey, fraction: float | None, text: str) -> None:
        """Show progress; the newest value wins and none is kept."""
        ...

    async def inventory(self, host: str, inventory: HostInventory) -> None:
        """The host's facts or step types changed. Never fails: what cannot be stored now is stored later."""
        ...
