"""`validation.assert`: conditions that must hold when the step is due, or it fails with the author's message."""

from collections.abc import Callable, Mapping

from pilotage_coordinator.domain.execution.coordinator_step import StepOutcome
from pilotage_coordinator.domain.plan import FailureKind, Json


class Assertion:
    """Parameters: `that`, a condition or a list of them; `message`, a text for when one does not hold."""

    raw = frozenset({"that"})

    def decide(self, parameters: Mapping[str, Json], condition: Callable[[str], bool]) -> StepOutcome:
        """Evaluate the conditions in order; fail with the first that does not hold. Their errors pass through."""
        that = parameters.get("that")
        texts = [that] if isinstance(that, str) else that
        if not isinstance(texts, list | tuple) or not texts or not all(isinstance(each, str) for each in texts):
            error = "validation.assert: `that` must be a condition or a list of conditions"
            return StepOutcome("failed", error=error, failure_kind=FailureKind.PARAMETER)
        for text in texts:
            if not condition(str(text)):
                message = parameters.get("message")
                said = f"{message} (" if isinstance(message, str) and message else "("
                return StepOutcome("failed", error=f"{said}this does not hold: {text})")
        return StepOutcome("succeeded", outputs={"checked": len(texts)})
