"""What the room `fleet` refuses."""

from enum import StrEnum

from pilotage_proto.words import RefusalReason as RefusalReason


class FleetError(Exception):
    """Something between the coordinator and its agents failed; the text says what, with whom, and how to fix it."""


class BadMessage(FleetError):
    """An agent sent something that the protocol does not allow."""


class TransportLost(FleetError):
    """The stream is gone; nothing more can be sent or received on it."""


class ServerError(FleetError):
    """The server cannot start or keep running."""


class Refused(FleetError):
    """A session is refused or ended for a reason that the agent is told."""

    def __init__(self, reason: RefusalReason, message: str, *, retry: bool) -> None:
        """`retry` false: without a person's help, trying again is useless."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry = retry


class EnrolmentFault(StrEnum):
    """What is wrong with a request for a certificate."""

    BAD_TOKEN = "bad_token"  # noqa: S105
    NAME_TAKEN = "name_taken"
    BAD_REQUEST = "bad_request"
    DENIED = "denied"
    TOO_MANY = "too_many"


class EnrolmentRefused(FleetError):
    """A join or a renewal is refused."""

    def __init__(self, fault: EnrolmentFault, message: str) -> None:
        """`message` is for the person at the host; it tells nothing about other hosts or tokens."""
        super().__init__(message)
        self.fault = fault
