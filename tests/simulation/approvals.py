"""5: nothing starts without a valid approval of exactly its plan, where one was required.

Who has signed what is known from the people of the simulation alone; what was asked, from the plan; and when which
attempt was decided, from the events. The coordinator's own word that something is approved counts for nothing here.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage_coordinator.domain.approval.gate import Escalation, Gate, OnTimeout
from pilotage_coordinator.domain.plan import Batch, Plan, PlannedStep, Rollout, StepKind
from pilotage_coordinator.domain.share import Share

from tests.unit.engine.build import SECOND

PERSONS = ("amy", "ben", "cat", "dan")
"""Those who may decide; `dan` is disabled at times."""
DBAS = frozenset({"amy", "ben"})
ROLE = "role:dba"

Signed = tuple[str, str, str, str]
"""Request, digest of a plan, answer, and the person who has signed that."""


def key_of(person: str) -> str:
    """Return a person's public key, as the store has it."""
    return f"ssh-ed25519 {person}"


def with_approvals(plan: Plan, seed: str) -> Plan:
    """Return a plan that asks people, for some of the plans: drawn from what is drawn already."""
    draw = random.Random(seed)
    if draw.random() < 0.75:
        return plan
    if draw.random() < 0.4:
        plan = replace(plan, approvals=tuple(_gate(draw) for _ in range(draw.choice([1, 1, 2]))))
    return replace(plan, steps=tuple(_asking(draw, step) for step in plan.steps))


def _gate(draw: random.Random) -> Gate:
    of = draw.choice([(), (), PERSONS, (ROLE,)])
    return Gate(
        required=draw.choice([1, 2, 2]),
        of=of,
        timeout=draw.choice([20, 60, 600]) * SECOND,
        on_timeout=draw.choice(list(OnTimeout)),
        escalate=draw.choice([(), (Escalation(4 * SECOND, "cat"),)]),
    )


def _asking(draw: random.Random, step: PlannedStep) -> PlannedStep:
    if step.kind is StepKind.GROUP:
        step = replace(step, steps=tuple(_asking(draw, each) for each in step.steps))
    if step.kind is StepKind.HEALTH:
        return step
    if draw.random() < 0.4:
        step = replace(step, approvals=(_gate(draw),))
    if step.hosts and len(step.hosts) > 1 and not step.for_each and draw.random() < 0.4:
        batches = (Batch(Share(1), approval=_gate(draw)), Batch(Share(2)))
        step = replace(step, rollout=replace(step.rollout, batches=batches))
    return step


def asks(plan: Plan) -> bool:
    """Return whether a plan asks people anything."""
    return bool(plan.approvals) or any(each.approvals or _batches(each.rollout) for each in _all(plan.steps))


def _batches(rollout: Rollout) -> bool:
    return any(batch.approval is not None for batch in rollout.batches)


@dataclass
class Approvals:
    """Follows the events of an execution. `signed` is all that people ever signed."""

    execution: str
    plan: Plan
    signed: set[Signed]
    violate: Callable[[str], None]
    _asked: dict[str, tuple[str, Gate, int]] = field(default_factory=dict)
    """Name of a gate to its newest request, what that asks, and when it was asked."""
    _votes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Request to those who approved, and what their votes stood on."""
    _of: dict[str, set[str]] = field(default_factory=dict)
    _valid: dict[str, str] = field(default_factory=dict)
    """Name of a gate to the approval that opened it, in this pass."""
    _steps: Mapping[str, PlannedStep] = field(init=False)

    def __post_init__(self) -> None:
        self._steps = {step.path: step for step in _all(self.plan.steps)}

    def follow(self, type_: str, data: Mapping[str, Any], at: int) -> None:
        """Read an event."""
        match type_:
            case "approval_asked":
                gate = Gate.from_json(data["gate"])
                self._asked[data["name"]] = (data["request"], gate, at)
                self._of[data["request"]] = set(gate.of)
                self._matches_the_plan(data, gate)
            case "approval_escalated":
                gate = self._asked[data["name"]][1]
                late = {each.to for each in gate.escalate if self._asked[data["name"]][2] + each.after <= at}
                self._of[data["request"]] |= late if gate.of else set()
            case "approval_voted" if data["answer"] == "approve":
                votes = self._votes.setdefault(data["request"], {})
                for person in data.get("dropped", ()):
                    votes.pop(person, None)
                votes[data["by"]] = data["stands_on"]
            case "approval_ended" if data["outcome"] == "approved":
                self._approved(data, at)
            case "execution_reopened":
                self._valid.clear()
            case "attempt_planned" if data["kind"] == "run":
                self._starts(str(data["path"]))
            case "batch_opened":
                self._next_batch(str(data["path"]), int(data["number"]))

    def _matches_the_plan(self, data: Mapping[str, Any], gate: Gate) -> None:
        wanted: Sequence[Gate] = ()
        if data["scope"] == "execution":
            wanted = self.plan.approvals
        elif data["scope"] == "step":
            wanted = self._steps[data["path"]].approvals
        elif data["scope"] == "batch":
            batches = self._steps[data["path"]].rollout.batches
            wanted = [each.approval for each in batches if each.approval is not None]
        if gate not in wanted:
            self.violate(f"5: {self.execution[-1]} asks at {data['name']} for what its plan does not say")

    def _approved(self, data: Mapping[str, Any], at: int) -> None:
        request, gate, since = self._asked[data["name"]]
        if request != data["request"]:
            self.violate(f"5: {data['name']} of {self.execution[-1]} is opened by an old request")
            return
        real = {
            person
            for person, stands_on in self._votes.get(request, {}).items()
            if (request, self.plan.digest, "approve", person) in self.signed
            and self._entitled(request, person, stands_on)
        }
        if len(real) >= gate.required and at < since + gate.timeout:
            self._valid[data["name"]] = request

    def _entitled(self, request: str, person: str, stands_on: str) -> bool:
        of = self._of[request]
        return not of or person in of or (stands_on == ROLE and ROLE in of and person in DBAS)

    def _starts(self, path: str) -> None:
        if path not in self._steps:
            return  # `finally` steps and what undoes wait for nobody once something was allowed to begin
        missing = [name for name in self._needed(path) if name not in self._valid]
        if missing:
            self.violate(f"5: {self.execution[-1]}:{path} is started without a valid approval at {missing[0]}")

    def _needed(self, path: str) -> Iterator[str]:
        for number in range(len(self.plan.approvals)):
            yield "!start" + (f"#{number + 1}" if number else "")
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            around = "/".join(parts[:depth])
            for number in range(len(self._steps[around].approvals) if around in self._steps else 0):
                yield f"{around}!approval" + (f"#{number + 1}" if number else "")

    def _next_batch(self, path: str, number: int) -> None:
        step = self._steps.get(path)
        if step is None or not step.rollout.batches:
            return
        before = step.rollout.batches[min(number - 1, len(step.rollout.batches) - 1)]
        if before.approval is not None and not any(name.startswith(f"{path}#{number}") for name in self._valid):
            self.violate(f"5: {self.execution[-1]}:{path} goes on to batch {number + 1} without a valid approval")


def _all(steps: Iterable[PlannedStep]) -> Iterator[PlannedStep]:
    for step in steps:
        yield step
        yield from _all((*step.steps, *step.rollout.refresh, *step.rollout.analysis))
