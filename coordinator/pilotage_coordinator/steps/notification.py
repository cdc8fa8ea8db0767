"""`notify.send`: a message to a channel of the coordinator's configuration. The step ends when it is recorded."""

from collections.abc import Callable, Collection, Mapping

from pilotage_coordinator.domain.channel import not_configured
from pilotage_coordinator.domain.execution.coordinator_step import StepOutcome
from pilotage_coordinator.domain.notification import SEVERITIES, STEP_TYPE, Notification, composed
from pilotage_coordinator.domain.plan import FailureKind, Json


class NotifySend:
    """Parameters: `to`, a channel; `text`; and `title`, `severity`, `table` (a list of objects), all optional."""

    raw: frozenset[str] = frozenset()

    def __init__(self, channels: Collection[str]) -> None:
        self._channels = channels

    def decide(self, parameters: Mapping[str, Json], condition: Callable[[str], bool]) -> StepOutcome:
        """Compose the message. Delivery is another's work, so that the outputs say `queued` and no more."""
        to, text, title = parameters.get("to"), parameters.get("text"), parameters.get("title", "")
        severity, table = parameters.get("severity", "info"), parameters.get("table", ())
        if not isinstance(to, str) or not isinstance(text, str) or not isinstance(title, str):
            return _refused("`to`, `text` and `title` must be texts")
        if severity not in SEVERITIES:
            return _refused(f"`severity` is {str(severity)[:40]!r}; it must be one of {', '.join(SEVERITIES)}")
        if not isinstance(table, list | tuple):
            return _refused("`table` must be a list of objects")
        rows = [each for each in table if isinstance(each, Mapping)]
        if len(rows) != len(table):
            return _refused("`table` must be a list of objects; something in it is none")
        if to not in self._channels:
            message, fix = not_configured(to, self._channels)
            return _refused(f"{message}; {fix}")
        sent = Notification(to, composed(text, title, str(severity), rows))
        return StepOutcome("succeeded", outputs={"channel": to, "delivery": "queued"}, notification=sent)


def _refused(reason: str) -> StepOutcome:
    return StepOutcome("failed", error=f"{STEP_TYPE}: {reason}", failure_kind=FailureKind.PARAMETER)
