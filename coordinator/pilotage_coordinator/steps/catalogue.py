"""What blueprints may give to the step types of this room, as JSON Schema."""

from collections.abc import Mapping
from typing import Final

from pilotage_proto.canonical import digest

from pilotage_coordinator.domain.notification import LARGEST_TEXT, LARGEST_TITLE, SEVERITIES
from pilotage_coordinator.domain.plan import Effect, Place
from pilotage_coordinator.domain.step_type import StepTypeInfo

_TEXT: Final = {"type": "string"}

_SOMEBODY: Final = {"type": "string", "minLength": 1, "maxLength": 254}

_PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = {
    "approval.ask": {
        "type": "object",
        "properties": {
            "message": _TEXT,
            "required": {"type": "integer", "minimum": 1, "maximum": 100},
            "of": {"type": "array", "items": _SOMEBODY, "minItems": 1},
            "timeout": _TEXT,
            "on_timeout": {"enum": ["deny", "revert", "stop"]},
            "escalate": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"after": _TEXT, "to": _SOMEBODY},
                    "required": ["after", "to"],
                    "additionalProperties": False,
                },
            },
            "comment": {"type": "boolean"},
            "strict": {"type": "boolean"},
            "separation": {"type": "boolean"},
        },
        "required": ["message"],
        "additionalProperties": False,
    },
    "validation.assert": {
        "type": "object",
        "properties": {
            "that": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
            "message": _TEXT,
        },
        "required": ["that"],
        "additionalProperties": False,
    },
    "gate.pause": {
        "type": "object",
        "properties": {"name": _TEXT, "message": _TEXT},
        "additionalProperties": False,
    },
    "notify.send": {
        "type": "object",
        "properties": {
            "to": {"type": "string", "minLength": 1, "maxLength": 64},
            "text": {"type": "string", "minLength": 1, "maxLength": LARGEST_TEXT},
            "title": {"type": "string", "maxLength": LARGEST_TITLE},
            "severity": {"enum": list(SEVERITIES)},
            "table": {"type": "array", "items": {"type": "object"}},
        },
        "required": ["to", "text"],
        "additionalProperties": False,
    },
}

_OUTPUTS: Final[Mapping[str, Mapping[str, object]]] = {
    "approval.ask": {"type": "object", "properties": {"by": _TEXT, "comment": _TEXT, "approval": _TEXT}},
    "validation.assert": {"type": "object", "properties": {"checked": {"type": "integer"}}},
    "gate.pause": {"type": "object", "properties": {"by": _TEXT, "comment": _TEXT}},
    "notify.send": {
        "type": "object",
        "properties": {"notification": _TEXT, "channel": _TEXT, "delivery": {"const": "queued"}},
    },
}

_ONCE: Final = frozenset({"approval.ask", "gate.pause", "notify.send"})


def coordinator_types() -> Mapping[str, StepTypeInfo]:
    """Return the description of every step type of this room, by name."""
    return {
        name: StepTypeInfo(
            name=name,
            effect=Effect.ONCE if name == "notify.send" else Effect.READ,
            params_schema=parameters,
            outputs_schema=_OUTPUTS[name],
            place=Place.COORDINATOR,
            once=name in _ONCE,
            # A message cannot be unsent: the plan says so, and a rollback keeps it as it is.
            has_undo=name != "notify.send",
            digest=digest({"params": parameters, "outputs": _OUTPUTS[name]}),
        )
        for name, parameters in _PARAMETERS.items()
    }
