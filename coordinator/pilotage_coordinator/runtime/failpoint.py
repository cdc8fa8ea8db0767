"""Named places at which a test lets the coordinator die as if by kill -9.

`PILOTAGE_FAILPOINT=name` kills at the first pass, `name:3` at the third. Names of other processes are ignored, so that
one environment can serve a whole fleet.
"""

import os
import signal
from collections.abc import Mapping
from typing import Final

from pilotage_coordinator.domain.errors import DomainError

VARIABLE: Final = "PILOTAGE_FAILPOINT"

_OURS: Final = "coordinator."

FAILPOINTS: Final = (
    "coordinator.execution.created",
    "coordinator.change.before_commit",
    "coordinator.change.after_commit",
    "coordinator.assignment.queued",
    "coordinator.result.taken",
    "coordinator.result.kept",
    "coordinator.session.reconciled",
    "coordinator.notification.sent",
    "coordinator.schedule.due",
    "coordinator.schedule.started",
)


class FailpointRefused(DomainError):
    """A failpoint that does not exist: a test that armed it would pass without having tested anything."""


class Failpoints:
    """The failpoint that is armed in this process, if any."""

    def __init__(self, armed: str = "") -> None:
        name, _, count = armed.partition(":")
        if name.startswith(_OURS) and name not in FAILPOINTS:
            raise FailpointRefused(
                f"{VARIABLE}={armed}: there is no failpoint {name}; there are {', '.join(FAILPOINTS)}"
            )
        if count and not (count.isdigit() and int(count) > 0):
            raise FailpointRefused(f"{VARIABLE}={armed}: write NAME or NAME:COUNT with a count from 1 up")
        self._name = name
        self._left = int(count or 1)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Failpoints":
        """Arm what the environment names; raises FailpointRefused for an unknown name of ours."""
        return cls(environment.get(VARIABLE, ""))

    def reach(self, name: str) -> None:
        """Pass a named place; does not return when it is the armed one and its turn has come."""
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
