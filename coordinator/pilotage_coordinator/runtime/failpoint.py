"""Named places at which a test lets the coordinator die as if by kill -9.

`PILOTAGE_FAILPOINT=name` kills at the first pass, `name:3` at the third. Names of other processes are ignored, so that
one environment can serve a whole fleet.
"""

import os
import signal
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "PILOTAGE_FAILPOINT"

FAILPOINTS: Final = (
    "coordinator.execution.created",
    "coordinator.change.before_commit",
    "coordinator.change.after_commit",
    "coordinator.assignment.queued",
    "coordinator.result.taken",
    "coordinator.result.kept",
    "coordinator.session.reconciled",
)


class Failpoints:
    """The failpoint that is armed in this process, if any."""

    def __init__(self, armed: str = "") -> None:
        name, _, count = armed.partition(":")
        self._name = name if name in FAILPOINTS else ""
        self._left = int(count) if count.isdigit() else 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Failpoints":
        """Arm what the environment names."""
        return cls(environment.get(VARIABLE, ""))

    def reach(self, name: str) -> None:
        """Pass a named place; does not return when it is the armed one and its turn has come."""
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
