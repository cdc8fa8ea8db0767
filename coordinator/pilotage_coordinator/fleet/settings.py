"""How sessions are kept."""

from dataclasses import dataclass
from typing import Final

PROTOCOL_MIN: Final = 1
PROTOCOL_MAX: Final = 1
"""The versions of the protocol that this coordinator speaks."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Bounds and intervals of sessions; seconds are real seconds of the event loop's clock."""

    version: str = ""
    """The coordinator's version, told to agents."""
    heartbeat_seconds: int = 10
    silence_seconds: float = 35.0
    """An agent from which nothing came for this long is taken to be away."""
    witness_seconds: float = 60.0
    """At most so often are agents shown how far the audit log has come; each Welcome shows it too."""
    challenge_seconds: float = 5.0
    """How long the instance of a running session may take to answer when another one claims its identity."""
    handshake_seconds: float = 30.0
    """From the stream's beginning to the complete journal."""
    farewell_seconds: float = 2.0
    """How long the last words of a session may take to be sent."""
    query_seconds: float = 60.0
    """How long a query without a timeout may take."""
    retry_seconds: float = 1.0
    """After this, results that could not be stored are offered again; doubled each time up to 30 s."""
    log_window: int = 4 * 1024 * 1024
    most_slots: int = 1_000
    """More are not used, whatever the agent says."""
    most_entries: int = 50_000
    """Open journal entries that an agent may report."""
    largest_journal: int = 64 * 1024 * 1024
    """Bytes of open journal entries that an agent may report."""
    most_queries: int = 64
    """Unanswered queries at one agent."""
    most_handshakes: int = 4
    """Streams of one host that may be in their handshake at the same time."""
    most_unsent: int = 2_000
    """Items waiting to be sent at which the coordinator stops reading from an agent."""
    most_held_log: int = 256 * 1024
    """Bytes of log that could not be stored at which the coordinator stops reading from an agent until it can."""
    most_unstored: int = 1_000
    """Results that could not be stored at which the session is ended; the agent keeps them."""
