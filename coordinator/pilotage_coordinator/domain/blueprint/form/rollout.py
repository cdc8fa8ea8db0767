"""How rollouts, approvals and health gates are written."""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.approval.gate import Escalation, OnTimeout
from pilotage_coordinator.domain.blueprint.form.scalars import (
    Duration,
    Flag,
    LoneExpression,
    Matching,
    Number,
    OneOf,
    Share,
    Text,
    Units,
)
from pilotage_coordinator.domain.blueprint.form.shapes import (
    INVALID,
    Either,
    Field,
    ListOf,
    Reading,
    Record,
    Schema,
    Shape,
)
from pilotage_coordinator.domain.blueprint.nodes import MapNode, Node
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.blueprint.rollout import Batch, Gate, Health, Rollout
from pilotage_coordinator.domain.plan import RolloutFailure
from pilotage_coordinator.domain.share import Share as Count
from pilotage_coordinator.domain.values import HOUR, Amount

PRINCIPAL: Final = Matching(r"[A-Za-z0-9@_.:/+-]{1,254}", "principal", "a name, or role:NAME")


def _build_escalation(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return Escalation(values["after"], values["to"])


_ESCALATION: Final = Record(
    "escalation",
    {
        "after": Field(Duration(1), "How long after the request.", required=True),
        "to": Field(PRINCIPAL, "Whom to ask then.", required=True),
    },
    _build_escalation,
)

GATE_FIELDS: Final = {
    "required": Field(Number(1, 100), "How many must agree."),
    "required_approvers": Field(
        Either(Number(1, 100), ListOf(PRINCIPAL, least=1), None, "a number, or a list of principals"),
        "Classic: how many must agree, or who, each of them.",
    ),
    "of": Field(ListOf(PRINCIPAL, least=1), "Who may answer: principals and role:NAME."),
    "timeout": Field(Duration(1), "How long the request waits."),
    "timeout_hours": Field(Units(HOUR, 0.01), "Classic: how long the request waits.", into="timeout"),
    "on_timeout": Field(OneOf(tuple(each.value for each in OnTimeout), enum=OnTimeout), "What no answer means."),
    "escalate": Field(ListOf(_ESCALATION), "Ask others too, later."),
    "comment": Field(Flag(), "An answer must carry a comment."),
    "description": Field(Text(), "What is being asked."),
    "strict": Field(Flag(), "Who answers for the assistant that asked may not approve either."),
    "separation": Field(Flag(), "false: whoever asked may approve too."),
}


def build_gate(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    """Return the gate that these values of GATE_FIELDS describe."""
    given = dict(values)
    classic = given.pop("required_approvers", None)
    if classic is not None:
        if "required" in given or (isinstance(classic, tuple) and "of" in given):
            return reading.refuse(node, path, "`required_approvers` repeats `required` or `of`; keep one of them")
        if isinstance(classic, tuple):
            given |= {"of": classic, "required": len(classic)}
        else:
            given["required"] = classic
    named = given.get("of", ())
    if named and not any(each.startswith("role:") for each in named) and given.get("required", 1) > len(set(named)):
        return reading.refuse(node, path, f"{given['required']} must agree, but only {len(set(named))} may answer")
    return Gate(at=node.at, **given)


GATE: Final = Record("approval gate", GATE_FIELDS, build_gate)


def _build_then(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return dict(values)


_THEN: Final = Record(
    "pause between batches",
    {
        "wait": Field(Duration(), "Wait so long."),
        "approval": Field(GATE, "Ask before the next batch.", feature="approvals"),
    },
    _build_then,
)


def _build_batch(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    then = values.get("then", {})
    return Batch(values["size"], then.get("wait", 0), then.get("approval"), at=node.at)


class BatchSize:
    """A batch written as its size alone."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        """Return the batch."""
        size = Share(least=1).read(node, path, reading)
        return size if size is INVALID else Batch(size, at=node.at)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the JSON Schema."""
        return Share(least=1).schema(definitions)


_BATCH: Final = Either(
    BatchSize(),
    None,
    Record(
        "batch",
        {
            "size": Field(Share(least=1), "How many hosts.", required=True),
            "then": Field(_THEN, "What comes between this batch and the next."),
        },
        _build_batch,
    ),
    "a size, or {size, then}",
)


def _build_health(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = {("for_" if key == "for" else key): value for key, value in values.items()}
    health = Health(at=node.at, **given)
    if health.for_ >= health.within:
        return reading.refuse(node, path, "`for` is not shorter than `within`, so no host could ever pass")
    return health


def _expand(given: dict[str, Any], node: MapNode, path: Path, reading: Reading) -> bool:
    """Replace `strategy` by what it stands for; return whether that worked."""
    strategy = given.pop("strategy", None)
    if strategy == "all" and "max_parallel" in given:
        reading.refuse(node, path, "strategy `all` has no max_parallel", "write strategy: rolling")
        return False
    if strategy is not None and "batches" in given:
        reading.refuse(node, path, f"strategy `{strategy}` and `batches` say the same thing twice", "keep one of them")
        return False
    if strategy == "rolling":
        given.setdefault("max_parallel", Amount(Count(1)))
    elif strategy == "canary":
        given["batches"] = (Batch(Amount(Count(1))), Batch(Amount(Count(100, percent=True))))
        given.setdefault("max_failures", Amount(Count(0)))
    return True


def _build_rollout(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    revert = given.pop("auto_revert", None)
    if revert is not None and "on_failure" in given:
        return reading.refuse(node, path, "`auto_revert` and `on_failure` say the same thing twice", "keep on_failure")
    if revert:
        given["on_failure"] = RolloutFailure.REVERT_ALL
    if "refresh" in given and "order_by" not in given:
        return reading.refuse(node, path, "`refresh` is asked for the sake of `order_by`, which is missing")
    if not _expand(given, node, path, reading):
        return INVALID
    return Rollout(at=node.at, **given)


def rollout_record(steps: Shape) -> Record:
    """Return how a rollout is written; `steps` is the shape of a list of steps, which a rollout holds."""
    health = Record(
        "health gate",
        {
            "for": Field(Duration(), "Healthy for so long."),
            "within": Field(Duration(1), "Within so long at latest."),
            "every": Field(Duration(1), "Asked so often."),
            "steps": Field(steps, "Steps that succeed on a healthy host.", required=True),
        },
        _build_health,
    )
    failures = OneOf(tuple(each.value for each in RolloutFailure), enum=RolloutFailure)
    return Record(
        "rollout",
        {
            "strategy": Field(OneOf(("all", "rolling", "canary"), reserved=("blue_green",)), "A shorthand."),
            "max_parallel": Field(Share(least=1), "How many hosts (with for_each: items) at once."),
            "batches": Field(ListOf(_BATCH, least=1, most=1000), "Sizes of batches; the last one repeats."),
            "order_by": Field(LoneExpression(), "Hosts in this order, asked before each batch.", feature="order_by"),
            "refresh": Field(steps, "Read steps asked before each batch.", feature="order_by"),
            "health": Field(health, "When a host counts as healthy.", feature="health"),
            "analysis": Field(steps, "Steps that judge each batch.", feature="analysis"),
            "max_failures": Field(Share(), "More failed hosts than this end the rollout."),
            "on_failure": Field(failures, "What is undone then."),
            "auto_revert": Field(Flag(), "true: on_failure: revert_all."),
        },
        _build_rollout,
    )
