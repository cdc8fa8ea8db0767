"""What is wrong with a plan: every problem at once, each with its step, its host and its cure."""

from collections.abc import Sequence
from dataclasses import dataclass

from pilotage_coordinator.domain.blueprint.position import NOWHERE, Position
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import FailureKind

MOST_PROBLEMS = 100
"""A plan with more is not looked at further: the first hundred tell the story."""


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One reason why there can be no plan. `path`, `host` and `fix` may be empty; `at` is NOWHERE when unknown."""

    kind: FailureKind
    message: str
    fix: str = ""
    path: str = ""
    host: str = ""
    at: Position = NOWHERE

    def __str__(self) -> str:
        """Return one line: place, step, host, message, cure."""
        place = f"{self.at}: " if self.at.line else ""
        step = f"step {self.path}: " if self.path else ""
        host = f"on {self.host}: " if self.host else ""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{place}{step}{host}{self.message}{fix}"


class PlanningError(DomainError):
    """The root of what this room raises."""


class PlanRefused(PlanningError):
    """There can be no plan; `problems` holds all that was found, in the order of the blueprint."""

    def __init__(self, problems: Sequence[PlanProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(each) for each in self.problems))


class PlanUnreadable(PlanningError):
    """A stored plan cannot be read; the text says what is wrong where."""


class BlueprintUnreadable(PlanningError):
    """A stored blueprint cannot be read by this version; the text says which, why, and what to do."""


class SelectorRefused(PlanningError):
    """A selector of the command line (`-l`) cannot be read; the text says why and how to write it."""
