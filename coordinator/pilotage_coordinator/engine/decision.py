"""One decision under way: the draft that its events change, the time, and the world."""

from dataclasses import dataclass, field

from pilotage_coordinator.domain.execution.events import Event
from pilotage_coordinator.domain.expression.scope import Scope
from pilotage_coordinator.engine.draft import Draft
from pilotage_coordinator.engine.evolve import apply
from pilotage_coordinator.engine.world import World


@dataclass(slots=True)
class Decision:
    """Collects events; every change of the draft goes through one."""

    draft: Draft
    now: int
    world: World
    events: list[Event] = field(default_factory=list)
    steps: int = 0
    """How many things were looked at: what the flatness of costs is measured by."""
    most: int = 0
    """After how many steps nothing more is started; 0: no bound."""

    def emit(self, event: Event) -> None:
        """Record an event and fold it into the draft."""
        self.events.append(event)
        apply(self.draft, event, self.now)

    @property
    def starting(self) -> bool:
        """Return whether anything new may start."""
        return self.draft.pause_reason is None

    @property
    def spent(self) -> bool:
        """Return whether what else may start is left to a later decision."""
        return 0 < self.most <= self.steps

    def scope(self, variables: dict[str, object]) -> Scope:
        """Return an evaluation scope at this decision's time."""
        return Scope(variables, self.now)
