"""What this host lets be run, whatever a coordinator sends (SECURITY: local allow lists win)."""

import asyncio
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from pilotage_proto.attempt import AttemptKind

from pilotage_agent.catalogue import HostCatalogue
from pilotage_agent.local_values import ANY_VALUE, AllowedValues
from pilotage_agent.messages import Assignment, FailureKind, Query


class LocalPolicy:
    """The allow list and the catalogue of this host."""

    def __init__(
        self, allow: Sequence[str], catalogue: Callable[[], HostCatalogue], values: AllowedValues = ANY_VALUE
    ) -> None:
        self._allow = tuple(allow)
        self._catalogue = catalogue
        self._values = values

    def refusal(self, assignment: Assignment) -> tuple[FailureKind, str] | None:
        """Return why an assignment may not run here; None when it may."""
        name = assignment.step_type
        if (forbidden := self._forbidden(name)) is not None:
            return forbidden
        known = self._catalogue().by_name.get(name)
        if known is None:
            return FailureKind.TARGET, f"no plugin on this host brings the step type {name}: install it there"
        effects = {known.get("effect"), *(known.get("author_effects") or ())}
        if assignment.key.kind is AttemptKind.RUN and assignment.effect.value not in effects:
            text = f"{name} cannot be run with effect {assignment.effect.value}; its own is {known.get('effect')}"
            return FailureKind.POLICY, text
        return None

    def query_refusal(self, query: Query) -> tuple[FailureKind, str] | None:
        """Return why a question may not be answered here; None when it may."""
        return self._forbidden(query.step_type)

    async def values_refusal(self, message: Assignment | Query) -> tuple[FailureKind, str] | None:
        """Return why what an assignment or a question names may not be touched here; None when it may.

        Links are followed, on a thread: a file system may be slow to answer.
        """
        values = [message.parameters, *([message.outputs] if isinstance(message, Assignment) else [])]
        why = await asyncio.to_thread(self._values.refusal, values) if self._values.limit else None
        return None if why is None else (FailureKind.POLICY, f"not started: {why}")

    def _forbidden(self, step_type: str) -> tuple[FailureKind, str] | None:
        if self.allows(step_type):
            return None
        listed = ", ".join(self._allow) or "nothing"
        return FailureKind.POLICY, f"this host's allow list does not let {step_type} run (agent.toml: allow = {listed})"

    def allows(self, step_type: str) -> bool:
        """Whether the allow list has a pattern for a step type."""
        return any(fnmatchcase(step_type, pattern) for pattern in self._allow)
