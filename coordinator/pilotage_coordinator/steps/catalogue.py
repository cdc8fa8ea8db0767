"""What blueprints may give to the step types of this room, as JSON Schema."""

from collections.abc import Mapping
from typing import Final

from pilotage_proto.canonical import digest

from pilotage_coordinator.domain.plan import Effect, Place
from pilotage_coordinator.domain.step_type import StepTypeInfo

_TEXT: Final = {"type": "string"}

_PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = {
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
}

_OUTPUTS: Final[Mapping[str, Mapping[str, object]]] = {
    "validation.assert": {"type": "object", "properties": {"checked": {"type": "integer"}}},
    "gate.pause": {"type": "object", "properties": {"by": _TEXT, "comment": _TEXT}},
}


def coordinator_types() -> Mapping[str, StepTypeInfo]:
    """Return the description of every step type of this room, by name."""
    return {
        name: StepTypeInfo(
            name=name,
            effect=Effect.READ,
            params_schema=parameters,
            outputs_schema=_OUTPUTS[name],
            place=Place.COORDINATOR,
            once=name == "gate.pause",
            digest=digest({"params": parameters, "outputs": _OUTPUTS[name]}),
        )
        for name, parameters in _PARAMETERS.items()
    }
