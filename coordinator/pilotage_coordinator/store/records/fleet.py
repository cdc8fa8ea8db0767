"""Rows of hosts, join tokens and certificates. Times are UTC microseconds, None = never."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.plan import Json

RELEASED = "released"
"""Stands for the journal of a host that a person let out of quarantine: whichever comes next is another one."""


@dataclass(frozen=True, slots=True)
class SessionMarks:
    """By what an agent's return is judged (SEMANTICS: a journal going backward). From its greeting."""

    journal_id: str = ""
    journal_sequence: int = 0
    session_counter: int = 0
    highest_epoch: int = 0

    def follows(self, earlier: "SessionMarks") -> bool:
        """Return whether this can be the next session after `earlier` of one and the same agent.

        In one journal the session counter grows, and neither the sequence nor the epoch shrinks. Another journal is
        comparable in nothing: the agent lost the old one, which is for the caller to see and to act upon.
        """
        if self.journal_id != earlier.journal_id:
            return True
        return (
            self.session_counter > earlier.session_counter
            and self.journal_sequence >= earlier.journal_sequence
            and self.highest_epoch >= earlier.highest_epoch
        )


@dataclass(frozen=True, slots=True)
class HostRecord:
    """One row of hosts. The id is never given to another host; the name is unique among hosts that are not revoked."""

    id: str
    name: str
    joined_at: int
    key_digest: str
    """SHA-256 of the public key in its certificate requests."""
    sealing_key: bytes = b""
    """X25519 public key that secrets are sealed to."""
    labels: Mapping[str, Json] = field(default_factory=dict)
    variables: Mapping[str, Json] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    step_types: tuple[Mapping[str, Json], ...] = ()
    quarantined_plugins: tuple[Mapping[str, Json], ...] = ()
    agent_version: str = ""
    boot_id: str = ""
    marks: SessionMarks = SessionMarks()
    certificate_serial: str = ""
    """Of the newest certificate."""
    last_seen: int | None = None
    revoked_at: int | None = None
    quarantine: str = ""
    """Why the host gets no work until a person has looked; empty = it is trusted."""


@dataclass(frozen=True, slots=True)
class EnrolmentRecord:
    """A join token: stored hashed, single use, short-lived."""

    token_hash: str
    created_at: int
    created_by: str
    expires_at: int
    host_name: str = ""
    """The only name that it may enrol; empty = any."""
    labels: Mapping[str, Json] = field(default_factory=dict)
    """Given to the host that joins with it."""
    used_at: int | None = None
    used_by: str = ""
    """Id of the host that it enrolled."""


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """A certificate that was issued to a host."""

    serial: str
    """Hexadecimal."""
    host: str
    """The host's id."""
    not_before: int
    not_after: int
    revoked_at: int | None = None
