"""Exit codes: the same for every command."""

from enum import IntEnum

from pilotage_client.errors import ClientError, CoordinatorUnreachable, Denied, RequestRefused


class ExitCode(IntEnum):
    """What a command's end means to a script."""

    OK = 0
    FAILED = 1
    USAGE = 2
    AWAITING_APPROVAL = 3
    """An execution waits for a person: an approval, a gate, or a pause."""
    UNREACHABLE = 4
    DENIED = 5
    INTERRUPTED = 130
    """Ctrl-C, as shells have it (128 + SIGINT); what was started goes on."""


class NotUnderstood(ClientError):
    """The command line, or a file that it names, makes no sense: nothing was asked of the coordinator."""


def code_of_error(error: ClientError) -> ExitCode:
    """Return the exit code for what a client raised."""
    if isinstance(error, NotUnderstood):
        return ExitCode.USAGE
    if isinstance(error, CoordinatorUnreachable):
        return ExitCode.UNREACHABLE
    if isinstance(error, Denied):
        return ExitCode.DENIED
    if isinstance(error, RequestRefused) and error.kind == "approval":
        return ExitCode.AWAITING_APPROVAL
    return ExitCode.FAILED


def code_of_state(state: str) -> ExitCode:
    """Return the exit code for the state in which an execution was left."""
    if state == "completed":
        return ExitCode.OK
    if state in ("waiting_approval", "paused"):
        return ExitCode.AWAITING_APPROVAL
    return ExitCode.FAILED
