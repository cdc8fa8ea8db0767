"""What a policy refuses."""

from collections.abc import Sequence

from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.planning.errors import PlanProblem


class PolicyRefused(DomainError):
    """The policy does not let something happen; `problems` names every reason with its rule."""

    def __init__(self, message: str, problems: Sequence[PlanProblem]) -> None:
        self.message = message
        self.problems = tuple(problems)
        super().__init__("\n".join((message, *(str(each) for each in self.problems))))
