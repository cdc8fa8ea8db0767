"""When a failed attempt is tried again, and what leaf steps inherit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.position import NOWHERE, Position
from pilotage_coordinator.domain.plan import FailureKind, OnOffline
from pilotage_coordinator.domain.values import HOUR, MINUTE, SECOND


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays are microseconds: initial_delay, times `multiplier` after each attempt, at most max_delay.

    `jitter` is the fraction (0 to 1) by which a delay may be shortened or lengthened, derived from the execution's
    seed so that a replay waits as long. An attempt that ended `unknown` is never retried by policy.
    """

    max_attempts: int = 1
    initial_delay: int = 1 * SECOND
    multiplier: float = 2.0
    max_delay: int = 5 * MINUTE
    jitter: float = 0.0
    on: tuple[FailureKind, ...] = (FailureKind.STEP, FailureKind.INFRASTRUCTURE)
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What leaf steps inherit where they say nothing. None means: the language's own default (see Settled)."""

    timeout: int | None = None
    retry_policy: RetryPolicy | None = None
    on_offline: OnOffline | None = None
    offline_deadline: int | None = None
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """What holds for one leaf step after inheritance: its own word, then the blueprint's defaults, then these."""

    timeout: int | None = None
    """Microseconds an attempt may take; None: no limit of its own."""
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    on_offline: OnOffline = OnOffline.WAIT
    offline_deadline: int = 1 * HOUR
