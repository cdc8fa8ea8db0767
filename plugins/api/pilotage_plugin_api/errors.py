"""What a step raises: the kind decides whether it is retried and whose news it is."""

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel


class FailureKind(StrEnum):
    """Why a step run failed (SEMANTICS, States). A `retry_policy` names the kinds it retries in `on`."""

    PARAMETER = "parameter"
    TARGET = "target"
    POLICY = "policy"
    APPROVAL = "approval"
    STEP = "step"
    INFRASTRUCTURE = "infrastructure"


class PluginApiError(Exception):
    """The root of every error that this package raises or expects.

    `cut_off`: the step did not end within its grace, so its clean-up was ended with it, and its `recover` is called.
    Set by `invocation.guard`, and by a step that could not clean up in the time that it had.
    """

    cut_off: bool = False


class StepError(PluginApiError):
    """A step that failed. Raise one of its subclasses, with a text that names the thing and the fix.

    `outputs`: what the step found out all the same, as its own `Outputs`; a run keeps them beside the error, where
    people and reports see them. Nothing is ever undone by them, and no later step takes them for a success's.
    """

    kind: ClassVar[FailureKind] = FailureKind.STEP

    def __init__(self, *words: object, outputs: BaseModel | None = None) -> None:
        super().__init__(*words)
        self.outputs = outputs


class StepFailed(StepError):
    """The work itself went wrong: the operator's news. Retried only when the author asks for kind `step`."""


class DeadlineExceeded(StepFailed):
    """The attempt ran longer than its timeout allows; its programs were killed."""


class Refused(StepError):
    """The parameters cannot be right, whatever the host does; retrying is pointless."""

    kind = FailureKind.PARAMETER


class TargetFailed(StepError):
    """This host cannot run the step: a program is missing, a path is not there, the wrong kind of machine."""

    kind = FailureKind.TARGET


class InfrastructureFailed(StepError):
    """Something between us and the work failed and may heal: network, a lock, a full queue. Worth a retry."""

    kind = FailureKind.INFRASTRUCTURE


class StepCancelled(PluginApiError):
    """The attempt was asked to stop, and did. Not a failure; let it pass through."""


class RegistrationRefused(PluginApiError):
    """A plugin or a step type that cannot be loaded; the text says which and why."""
