"""Everything that a Pilotage plugin depends on: write a `StepType`, register it with `hookimpl`."""

from pilotage_plugin_api.context import SecretFile, StepContext, Stream
from pilotage_plugin_api.effect import Effect
from pilotage_plugin_api.errors import (
    DeadlineExceeded,
    FailureKind,
    InfrastructureFailed,
    PluginApiError,
    Refused,
    RegistrationRefused,
    StepCancelled,
    StepError,
    StepFailed,
    TargetFailed,
)
from pilotage_plugin_api.hooks import Register, hookimpl
from pilotage_plugin_api.preview import Action, Change, Preview
from pilotage_plugin_api.probe import ProbeAnswer, ProbeState
from pilotage_plugin_api.program import ProgramResult
from pilotage_plugin_api.step_type import Availability, StepOutputs, StepParams, StepType
from pilotage_plugin_api.values import BlueprintFile, Duration, FileMode, SecretRef, Size
from pilotage_plugin_api.version import API_VERSION

__all__ = [
    "API_VERSION",
    "Action",
    "Availability",
    "BlueprintFile",
    "Change",
    "DeadlineExceeded",
    "Duration",
    "Effect",
    "FailureKind",
    "FileMode",
    "InfrastructureFailed",
    "PluginApiError",
    "Preview",
    "ProbeAnswer",
    "ProbeState",
    "ProgramResult",
    "Refused",
    "Register",
    "RegistrationRefused",
    "SecretFile",
    "SecretRef",
    "Size",
    "StepCancelled",
    "StepContext",
    "StepError",
    "StepFailed",
    "StepOutputs",
    "StepParams",
    "StepType",
    "Stream",
    "TargetFailed",
    "hookimpl",
]
