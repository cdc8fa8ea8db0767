"""Named places at which a test lets the process die as if by kill -9.

`PILOTAGE_FAILPOINT=name` kills at the first pass, `name:3` at the third. Names of other processes (the coordinator's)
are ignored, so that one environment can serve a whole fleet. Every place is listed in FAILPOINTS, so a test can walk
them all.
"""

import os
import signal
from collections.abc import Mapping
from typing import Final

from pilotage_agent.errors import ConfigRefused

VARIABLE: Final = "PILOTAGE_FAILPOINT"
_OURS: Final = ("agent.", "worker.")

FAILPOINTS: Final = (
    "agent.accepted.before_journal",
    "agent.accepted.after_journal",
    "agent.started.before_journal",
    "agent.started.after_journal",
    "agent.worker.spawned",
    "agent.recovery.before",
    "agent.recovery.after",
    "agent.exited.before_journal",
    "agent.exited.after_journal",
    "agent.result.sent",
    "agent.ack.received",
    "agent.cancel.received",
    "agent.tombstone.noted",
    "agent.session.counted",
    "agent.hello.sent",
    "worker.begun",
    "worker.outcome.before_write",
    "worker.outcome.after_write",
)


class Failpoints:
    """The failpoint that is armed in this process, if any."""

    def __init__(self, armed: str = "") -> None:
        name, _, count = armed.partition(":")
        if name.startswith(_OURS) and name not in FAILPOINTS:
            raise ConfigRefused(f"{VARIABLE}={armed}: there is no failpoint {name}; see pilotage_agent.failpoint")
        if count and not (count.isdigit() and int(count) > 0):
            raise ConfigRefused(f"{VARIABLE}={armed}: write NAME or NAME:COUNT with a count from 1 up")
        self._name = name
        self._left = int(count or 1)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Failpoints":
        """Arm what the environment names; raises ConfigRefused for an unknown name."""
        return cls(environment.get(VARIABLE, ""))

    def reach(self, name: str) -> None:
        """Pass a named place; does not return when it is the armed one and its turn has come."""
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
