"""`approval.ask`: the execution goes on past this step when enough people have approved."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pilotage_coordinator.domain.approval.gate import LONGEST_DEFAULT, Escalation, Gate, OnTimeout
from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.execution.coordinator_step import StepOutcome
from pilotage_coordinator.domain.plan import FailureKind, Json
from pilotage_coordinator.domain.values import parse_duration

MOST_REQUIRED: Final = 100


class AskApproval:
    """Parameters: `message`, what is asked; and of the gate `required`, `of`, `timeout`, `on_timeout`, `escalate`,
    `comment`, `strict` and `separation`, as blueprints write them. The outputs are `by`, `comment` and the request's id
    as `approval`."""

    raw: frozenset[str] = frozenset()

    def decide(self, parameters: Mapping[str, Json], condition: Callable[[str], bool]) -> StepOutcome:
        """Ask; the persons' answers end the step."""
        try:
            gate = _gate(parameters)
        except (ValueRefused, ValueError, KeyError, TypeError) as error:
            return StepOutcome("failed", error=f"approval.ask: {error}", failure_kind=FailureKind.PARAMETER)
        return StepOutcome("waiting", prompt=gate.description, approval=gate)


def _gate(parameters: Mapping[str, Any]) -> Gate:
    required, of = parameters.get("required", 1), parameters.get("of", [])
    if not isinstance(required, int) or isinstance(required, bool) or not 1 <= required <= MOST_REQUIRED:
        raise ValueError(f"`required` is {required!r}; it must be a number from 1 to {MOST_REQUIRED}")
    if not isinstance(of, list | tuple) or not all(isinstance(each, str) and each for each in of):
        raise ValueError("`of` must be a list of principals and role:NAME")
    if of and not any(each.startswith("role:") for each in of) and required > len(set(of)):
        raise ValueError(f"{required} must agree, but only {len(set(of))} may answer")
    timeout = parameters.get("timeout")
    return Gate(
        required=required,
        of=tuple(of),
        timeout=LONGEST_DEFAULT if timeout is None else parse_duration(str(timeout)),
        on_timeout=OnTimeout(parameters.get("on_timeout", OnTimeout.DENY.value)),
        escalate=tuple(
            Escalation(parse_duration(str(each["after"])), str(each["to"])) for each in parameters.get("escalate", ())
        ),
        comment=parameters.get("comment") is True,
        description=str(parameters.get("message", "")),
        source="the step",
        strict=parameters.get("strict") is True,
        separation=parameters.get("separation") is not False,
    )
