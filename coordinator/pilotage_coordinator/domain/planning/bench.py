"""The workbench of one planning: what was found so far, and the frame of each blueprint in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage_coordinator.domain.blueprint.model import Defaults, Step
from pilotage_coordinator.domain.blueprint.position import NOWHERE, Position
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import FailureKind, Json, Resolved
from pilotage_coordinator.domain.planning.depends import Depends
from pilotage_coordinator.domain.planning.errors import MOST_PROBLEMS, PlanProblem, PlanRefused
from pilotage_coordinator.domain.planning.request import (
    Note,
    PlanRequest,
    Question,
    ReadKey,
    StoredBlueprint,
    World,
)
from pilotage_coordinator.domain.planning.selector import Selector


@dataclass(slots=True)
class Frame:
    """One blueprint being planned: the root, or one that a step calls. Its expressions see nothing outside it."""

    path: str
    """Path of the call; "" for the root."""
    stored: StoredBlueprint
    parameters: Mapping[str, Json]
    sensitive: frozenset[str]
    defaults: Defaults
    targets: tuple[str, ...] | None = None
    """Hosts of steps that say nothing themselves; None: there are none."""
    answered: dict[str, dict[str, Json]] = field(default_factory=dict)
    """Id of an `at_plan` step to host to outputs; under "" when it runs once, then every host sees them."""
    waiting: set[str] = field(default_factory=set)
    """Ids of `at_plan` steps with questions that are still open."""
    hosts_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Id of a step to the hosts that it can run on."""
    paths: dict[str, str] = field(default_factory=dict)
    """Id of a step to its path in the plan."""
    on_host: bool = False
    """It is called inside a group: for each host of the group, it is the blueprint run for that host alone."""
    late: Mapping[str, Depends] = field(default_factory=dict)
    """Parameters that each run of the call has of its own: HOST, ITEM, or RUN_TIME for what no plan knows."""
    own: Mapping[tuple[str, str], Mapping[str, Json]] = field(default_factory=dict)
    """(Host, item) of a run of the call to those of its own parameters that are known."""

    def own_parameters(self, host: str, item: str) -> Mapping[str, Json]:
        """Return what is known of the parameters that the run seen from a host and an item has of its own."""
        return self.own.get((host if self.on_host else "", item), {}) if self.own else {}

    def inside(self, path: str) -> str:
        """Return the path of a step directly inside this frame."""
        return f"{self.path}/{path}" if self.path else path


@dataclass(slots=True)
class Bench:
    """What one call of `make_plan` has found so far."""

    request: PlanRequest
    world: World
    narrow: Selector | None
    problems: list[PlanProblem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    unanswered: set[ReadKey] = field(default_factory=set)
    waiting: bool = False
    """Something could not be looked at, because an answer is missing."""
    resolved: dict[str, dict[str, Resolved]] = field(default_factory=dict)
    sensitive: dict[str, dict[str, Json]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Texts of the files that steps use, by their keys."""
    step_runs: int = 0
    steps: int = 0

    def refuse(
        self,
        kind: FailureKind,
        message: str,
        fix: str = "",
        *,
        path: str = "",
        host: str = "",
        at: Position = NOWHERE,
    ) -> None:
        """Note one problem; raises PlanRefused when there are so many that looking on helps nobody."""
        self.add(PlanProblem(kind, message, fix, path, host, at))

    def add(self, problem: PlanProblem) -> None:
        """Note one problem, as `refuse` does."""
        if problem not in self.problems:
            self.problems.append(problem)
        if len(self.problems) >= MOST_PROBLEMS:
            raise PlanRefused(self.problems)

    def refuse_step(self, kind: FailureKind, step: Step, path: str, message: str, fix: str = "") -> None:
        """Note one problem of a step, with its place in the file."""
        self.refuse(kind, message, fix, path=path, at=step.at)

    def note(self, message: str, path: str = "", host: str = "") -> None:
        """Note something that people should know before they approve."""
        self.notes.append(Note(message, path, host))

    def know_when(self, path: str, host: str, runs: bool) -> None:
        """Keep what a group's or a call's condition gives."""
        self.resolved.setdefault(path, {})[host] = Resolved(when=runs)

    def check(self) -> None:
        """Raise PlanRefused when anything is wrong so far."""
        if self.problems:
            raise PlanRefused(self.problems)


def reason(error: DomainError) -> str:
    """Return the text of an error of another room, on one line."""
    return " ".join(str(error).split())
