"""Why an answer to a request is not taken."""

from pilotage_coordinator.domain.execution.errors import Refused


class AnswerRefused(Refused):
    """The answer is not taken, and nothing has changed; the text says why."""
