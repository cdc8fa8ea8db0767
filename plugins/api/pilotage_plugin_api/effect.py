"""How often a step may start: the promise that the coordinator and the agent keep for it."""

from enum import StrEnum


class Effect(StrEnum):
    """What a step type does to the world, and so what may happen after an interrupted attempt (SEMANTICS, Steps).

    An attempt is interrupted when its process went away without an outcome: a crash, a kill -9, a power cut.
    """

    READ = "read"
    """Changes nothing. Starts at least once; an interrupted attempt is retried."""

    IDEMPOTENT = "idempotent"
    """Twice is the same as once. Starts at least once with the same key; an interrupted attempt is retried."""

    PROBE = "probe"
    """Starts again only after `probe(key)` answered "not done"; `unknown` when the probe cannot tell."""

    ONCE = "once"
    """At most one start per attempt. An interrupted attempt is `unknown`: everything holds until a person decides."""
