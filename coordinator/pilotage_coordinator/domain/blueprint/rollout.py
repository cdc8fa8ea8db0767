"""How a step's work moves over its hosts, and the gates on its way."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pilotage_coordinator.domain.approval.gate import LONGEST_DEFAULT, Escalation, OnTimeout
from pilotage_coordinator.domain.approval.gate import Gate as AskedFor
from pilotage_coordinator.domain.blueprint.position import NOWHERE, Position
from pilotage_coordinator.domain.plan import RolloutFailure
from pilotage_coordinator.domain.values import MINUTE, SECOND, Amount

if TYPE_CHECKING:
    from pilotage_coordinator.domain.blueprint.model import Step


@dataclass(frozen=True, slots=True)
class Gate:
    """An approval as it is written: who may answer, how many must agree, how long it waits (microseconds)."""

    required: int = 1
    of: tuple[str, ...] = ()
    timeout: int = LONGEST_DEFAULT
    on_timeout: OnTimeout = OnTimeout.DENY
    escalate: tuple[Escalation, ...] = ()
    comment: bool = False
    """True when an answer must carry a comment."""
    description: str = ""
    strict: bool = False
    """True when the person who answers for the assistant that asked may not approve either."""
    separation: bool = True
    """False when whoever asked may approve too."""
    at: Position = field(default=NOWHERE, compare=False, repr=False)

    def asked_by(self, source: str) -> AskedFor:
        """Return it as plans hold it."""
        return AskedFor(
            self.required,
            self.of,
            self.timeout,
            self.on_timeout,
            self.escalate,
            self.comment,
            self.description,
            source,
            self.strict,
            self.separation,
        )


@dataclass(frozen=True, slots=True)
class StepApproval:
    """An approval that the blueprint asks for before a step; `step` is an id, or `*` for every top-level step."""

    step: str
    gate: Gate


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of hosts and what must happen after it. The last batch of a rollout repeats."""

    size: Amount
    wait: int = 0
    """Microseconds to wait after the batch, before the next one starts."""
    approval: Gate | None = None
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Health:
    """A host is healthy when `steps` succeed all through `for_`, tried `every`, at latest `within` (microseconds)."""

    steps: tuple["Step", ...]
    for_: int = 10 * SECOND
    within: int = 5 * MINUTE
    every: int = 5 * SECOND
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The normalised rollout: `strategy` is expanded at load into batches and max_parallel.

    Empty `batches` mean one batch of all hosts. `max_parallel` None means no limit inside a batch. `max_failures` None
    means failures never stop the rollout by themselves; it counts over the whole step, not per batch. With
    `for_each`, only `max_parallel` is set and it counts items per host.
    """

    max_parallel: Amount | None = None
    batches: tuple[Batch, ...] = ()
    order_by: str | None = None
    refresh: tuple["Step", ...] = ()
    health: Health | None = None
    analysis: tuple["Step", ...] = ()
    max_failures: Amount | None = None
    on_failure: RolloutFailure = RolloutFailure.STOP
    at: Position = field(default=NOWHERE, compare=False, repr=False)
