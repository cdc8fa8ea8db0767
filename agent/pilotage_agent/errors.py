"""Everything that the agent raises on purpose."""


class AgentError(Exception):
    """The root of the agent's errors; the text says what happened, to which thing, and what to do next."""


class ConfigRefused(AgentError):
    """The configuration or a command's argument cannot be right."""


class NotEnrolled(AgentError):
    """The state folder holds no identity; `pilotage-agent join` makes one."""


class StateLocked(AgentError):
    """Another agent process works in the same state folder."""


class EnrolmentFailed(AgentError):
    """The coordinator did not give a certificate, or what answered is not the coordinator."""


class JournalDamaged(AgentError):
    """The journal's file cannot be read as a journal; it is set aside and a new one begun."""


class JournalUnwritable(AgentError):
    """The journal could not be made durable (a full disk, for one); nothing may be started or reported on it."""


class SealBroken(AgentError):
    """A sealed secret could not be opened with this agent's key for this attempt."""


class WorkerLost(AgentError):
    """No worker process could be had, or it ended before it was given its attempt."""


class LinkLost(AgentError):
    """The stream to the coordinator ended; the agent dials again."""


class LinkRefused(AgentError):
    """The coordinator refused the session; `retry` says whether dialling again soon makes sense."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class InstallFailed(AgentError):
    """The service could not be installed on this machine."""
