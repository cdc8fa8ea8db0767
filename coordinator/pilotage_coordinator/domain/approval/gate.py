"""What is asked before something may happen: how many of whom must agree, for how long, and what no answer means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from pilotage_coordinator.domain.values import DAY

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

LONGEST_DEFAULT: Final = DAY
"""How long a request waits where nobody says otherwise, in microseconds."""
ROLE: Final = "role:"
"""What the name of a role begins with where principals may stand too."""


class OnTimeout(StrEnum):
    """What a request that nobody answered in time means; always a no, and then:"""

    DENY = "deny"
    """What a refusal does: the step has failed."""
    REVERT = "revert"
    """Undo: the rollout's hosts after a batch, else the whole execution."""
    STOP = "stop"
    """End: the rollout after a batch, else the whole execution; nothing is undone."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """Ask others too, so many microseconds after the request."""

    after: int
    to: str


@dataclass(frozen=True, slots=True)
class Gate:
    """An approval that is asked for. Part of plans, and so of what is approved. Times are microseconds."""

    required: int = 1
    """How many persons must agree; one refusal is enough for a no."""
    of: tuple[str, ...] = ()
    """Who may answer: principals, and `role:NAME`. Empty: whoever may decide at all."""
    timeout: int = LONGEST_DEFAULT
    on_timeout: OnTimeout = OnTimeout.DENY
    escalate: tuple[Escalation, ...] = ()
    comment: bool = False
    """An answer must carry a comment."""
    description: str = ""
    source: str = ""
    """Who asks, for people: `the step`, `the blueprint`, `the rollout`, or a policy and its rule."""
    strict: bool = False
    """Who answers for the assistant that asked may not approve either."""
    separation: bool = True
    """Whoever asked may not approve."""

    def to_json(self) -> dict[str, Json]:
        """Return it as events and rows hold it."""
        return {
            "required": self.required,
            "of": list(self.of),
            "timeout": self.timeout,
            "on_timeout": self.on_timeout.value,
            "escalate": [{"after": each.after, "to": each.to} for each in self.escalate],
            "comment": self.comment,
            "description": self.description,
            "source": self.source,
            "strict": self.strict,
            "separation": self.separation,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Gate":
        """Read what `to_json` wrote; fields that it does not have hold their defaults. Raises ValueError, TypeError."""
        given = dict(value)
        given["of"] = tuple(given.get("of", ()))
        given["on_timeout"] = OnTimeout(given.get("on_timeout", OnTimeout.DENY))
        given["escalate"] = tuple(Escalation(each["after"], each["to"]) for each in given.get("escalate", ()))
        return cls(**given)


def in_words(gate: Gate) -> str:
    """Return who must agree, as people say it: `2 of role:dba, anna`."""
    if not gate.of:
        return "anybody who may decide" if gate.required == 1 else f"{gate.required} of those who may decide"
    return f"{gate.required} of {', '.join(gate.of)}"
