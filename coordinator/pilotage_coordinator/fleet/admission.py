"""The rules by which an agent's greeting is judged: may it have a session, or is something wrong with its identity?

Source: SEMANTICS, "Steps: at most once" (supersession, epochs, a journal going backward). Pure.
"""

from dataclasses import dataclass
from enum import StrEnum

from pilotage_coordinator.domain.fleet import Greeting
from pilotage_coordinator.fleet.settings import PROTOCOL_MAX, PROTOCOL_MIN


class Verdict(StrEnum):
    """What is to be done about a greeting."""

    ADMIT = "admit"
    """Also ends the session of the same instance, if there is one: a half-open stream is normal."""
    CHALLENGE = "challenge"
    """Another instance holds a session: if it still answers, both are quarantined; if not, it is superseded."""
    STALE = "stale"
    """An older session of an instance that has opened a newer one already."""
    QUARANTINE = "quarantine"
    OLD_COORDINATOR = "old_coordinator"


@dataclass(frozen=True, slots=True)
class Marks:
    """What is durably remembered of a host's last admitted greeting. An empty journal id: it never had a session."""

    journal_id: str = ""
    journal_sequence: int = 0
    session_counter: int = 0
    highest_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Live:
    """The session that the host has now."""

    instance_id: str
    journal_id: str
    session_counter: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and why; the reason is for operators."""

    verdict: Verdict
    reason: str = ""


def common_protocol(lowest: int, highest: int) -> int | None:
    """Return the highest version that both sides speak, or None."""
    chosen = min(highest, PROTOCOL_MAX)
    return chosen if chosen >= max(lowest, PROTOCOL_MIN) else None


def judge(greeting: Greeting, marks: Marks, live: Live | None, last_instance: str, epoch: int) -> Judgement:
    """Judge a greeting by what is known of its host.

    `last_instance` is the instance of the last session that this coordinator process admitted, or empty.
    """
    if greeting.highest_epoch > epoch:
        return Judgement(
            Verdict.OLD_COORDINATOR,
            f"this coordinator (epoch {epoch}) is older than one this host has seen (epoch {greeting.highest_epoch}): "
            "restored from a backup? Then start it once with: pilotage coordinator serve --after-restore",
        )
    if (
        live is not None
        and live.instance_id == greeting.instance_id
        and _late(greeting, live.journal_id, live.session_counter)
    ):
        return Judgement(Verdict.STALE, "a newer session of this agent is open")
    if (
        live is None
        and last_instance == greeting.instance_id
        and _late(greeting, marks.journal_id, marks.session_counter)
    ):
        return Judgement(Verdict.STALE, "a newer session of this agent was open already")
    backward = _backward(greeting, marks)
    if backward:
        return Judgement(Verdict.QUARANTINE, backward)
    if live is not None and live.instance_id != greeting.instance_id:
        return Judgement(Verdict.CHALLENGE, "another instance holds a session under this identity")
    return Judgement(Verdict.ADMIT)


def _late(greeting: Greeting, journal_id: str, session_counter: int) -> bool:
    return greeting.journal_id == journal_id and greeting.session_counter <= session_counter


def _backward(greeting: Greeting, marks: Marks) -> str:
    """Return how the journal went back, or empty. Another journal cannot be compared: the old one was lost."""
    if not marks.journal_id or greeting.journal_id != marks.journal_id:
        return ""
    for name, now, before, must_grow in (
        ("session counter", greeting.session_counter, marks.session_counter, True),
        ("sequence", greeting.journal_sequence, marks.journal_sequence, False),
        ("highest epoch", greeting.highest_epoch, marks.highest_epoch, False),
    ):
        if now < before or (must_grow and now == before):
            return (
                f"the {name} of journal {marks.journal_id} went from {before} to {now}: the host's state was copied, "
                "or restored from a backup"
            )
    return ""
