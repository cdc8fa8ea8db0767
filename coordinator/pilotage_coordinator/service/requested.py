"""Who asks for a plan or an execution, and what for, as the policy sees it."""

from typing import Literal, TypeAlias

from pilotage_coordinator.domain.policy.question import Asker, Change
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.rule import ChangeClass
from pilotage_coordinator.service.caller import Caller

ClassName: TypeAlias = Literal["standard", "normal", "emergency"]
"""A class of changes, as a request names it."""


def class_of(name: ClassName | None) -> ChangeClass | None:
    """Return the class that a request names."""
    return ChangeClass(name) if name is not None else None


def asker_of(caller: Caller) -> Asker:
    """Return the caller as the policy sees it. Who it is comes from the face that proved it, never from a request."""
    return Asker(caller.principal, caller.kind.value, frozenset(caller.roles))


def requested(
    caller: Caller, change_class: ChangeClass | None = None, reference: str = "", reason: str = ""
) -> Requested:
    """Return who asks, and for which change."""
    return Requested(asker_of(caller), Change(reference, reason, change_class))
