"""What this host lets be run, whatever a coordinator sends (SECURITY: local allow lists win)."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from pilotage_proto.attempt import AttemptKind

from pilotage_agent.catalogue import HostCatalogue
from pilotage_agent.messages import Assignment, FailureKind


class LocalPolicy:
    """The allow list and the catalogue of this host."""

    def __init__(self, allow: Sequence[str], catalogue: Callable[[], HostCatalogue]) -> None:
        self._allow = tuple(allow)
        self._catalogue = catalogue

    def refusal(self, assignment: Assignment) -> tuple[FailureKind, str] | None:
        """Return why an assignment may not run here; None when it may."""
        name = assignment.step_type
        if not self.allows(name):
            listed = ", ".join(self._allow) or "nothing"
            return FailureKind.POLICY, f"this host's allow list does not let {name} run (agent.toml: allow = {listed})"
        known = self._catalogue().by_name.get(name)
        if known is None:
            return FailureKind.TARGET, f"no plugin on this host brings the step type {name}: install it there"
        effects = {known.get("effect"), *(known.get("author_effects") or ())}
        if assignment.key.kind is AttemptKind.RUN and assignment.effect.value not in effects:
            text = f"{name} cannot be run with effect {assignment.effect.value}; its own is {known.get('effect')}"
            return FailureKind.POLICY, text
        return None

    def allows(self, step_type: str) -> bool:
        """Whether the allow list has a pattern for a step type."""
        return any(fnmatchcase(step_type, pattern) for pattern in self._allow)
