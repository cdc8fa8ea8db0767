"""This host's slice of a plan, read only as far as its digests prove that it belongs to the plan. Pure.

Whoever made the bytes is not believed: a slice counts by its digest in the list, the list by the plan's digest, a step
by its digest in the slice, and the plan by what people have signed (`quorum.py`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotage_proto.attempt import AttemptKind
from pilotage_proto.canonical import CanonicalError, canonical, digest_of_bytes
from pilotage_proto.plan_digest import DigestsRefused, plan_digest, unpacked

from pilotage_agent.approval.errors import Unapproved
from pilotage_agent.messages import Assignment, SignedPlan

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SLICE: Final[Mapping[str, type]] = {"host": str, "host_id": str, "variables": dict, "steps": dict}
_ENTRY: Final = frozenset({"step", "type", "own"})
_STEP: Final[Mapping[str, type]] = {
    "path": str,
    "type": dict,
    "effect": str,
    "parameters": dict,
    "files": dict,
    "loops": bool,
    "attempts": int,
    "timeout": int,
    "undo": str,
    "sensitive_outputs": list,
    "guards": list,
    "common": dict,
}
_RESOLVED: Final = frozenset({"when", "items", "parameters", "item_parameters"})


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice that belongs to the plan with this digest. `variables`: those of the host that its steps may read."""

    plan_digest: str
    host: str
    host_id: str
    variables: Mapping[str, Any]
    steps: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What the plan says that this host does in a step. `common` and `own`: what its expressions come to, on every
    host and on this one."""

    type: Mapping[str, Any]
    effect: str
    parameters: Mapping[str, Any]
    files: Mapping[str, Any]
    loops: bool
    attempts: int
    timeout: int
    undo: str
    sensitive_outputs: tuple[str, ...]
    guards: tuple[str, ...]
    common: Mapping[str, Any]
    own: Mapping[str, Any]


def read_slice(plan: SignedPlan) -> Slice:
    """Return the slice that came with a plan, and the digest of the plan that it is part of. Raises Unapproved."""
    if not _DIGEST.fullmatch(plan.head):
        raise Unapproved("the plan's head has no digest")
    try:
        digests = unpacked(plan.slice_digests)
    except DigestsRefused as error:
        raise Unapproved(f"the plan cannot be checked: {error}") from None
    if digest_of_bytes(plan.slice) not in digests:
        raise Unapproved("what this host was given as its part of the plan is no part of it")
    said = _object(plan.slice, "this host's part of the plan", _SLICE)
    return Slice(plan_digest(plan.head, digests), said["host"], said["host_id"], said["variables"], said["steps"])


def find_step(part: Slice, path: str, planned_step: bytes) -> PlannedStep:
    """Return what the plan says of a step; raises Unapproved where it says nothing, or something else."""
    entry = part.steps.get(path)
    if not isinstance(entry, Mapping):
        raise Unapproved(f"the plan has no step {path} for this host")
    if not planned_step:
        raise Unapproved(f"{path} came without what the plan says of it")
    if entry.keys() - _ENTRY or entry.get("step") != digest_of_bytes(planned_step):
        raise Unapproved(f"what came as the plan's step {path} is not that step")
    said = _object(planned_step, f"the plan's step {path}", _STEP)
    own = entry.get("own", {})
    for each in (said["common"], own):
        if not isinstance(each, Mapping) or each.keys() - _RESOLVED:
            raise Unapproved(f"the plan says of {path} what this agent does not know: upgrade the agent")
    return PlannedStep(
        type=entry.get("type", said["type"]),
        effect=said["effect"],
        parameters=said["parameters"],
        files=said["files"],
        loops=said["loops"],
        attempts=said["attempts"],
        timeout=said["timeout"],
        undo=said["undo"],
        sensitive_outputs=tuple(said["sensitive_outputs"]),
        guards=tuple(said["guards"]),
        common=said["common"],
        own=own,
    )


def check_step(part: Slice, step: PlannedStep, assignment: Assignment, installed: Mapping[str, Any]) -> None:
    """Check that an assignment is the plan's step, but for its parameters. `installed`: what is known here of its step
    type. Raises Unapproved."""
    path = assignment.key.path
    if assignment.plan_digest != part.plan_digest:
        raise Unapproved(f"it says that it is of plan {assignment.plan_digest}, its step is of {part.plan_digest}")
    if assignment.key.host != part.host:
        raise Unapproved(f"it is for {assignment.key.host}, its step is one of {part.host}")
    wrong = {
        "step type": (assignment.step_type, step.type.get("name")),
        "effect": (assignment.effect.value, step.effect),
        "timeout in ms": (assignment.timeout_ms, -(-step.timeout // 1_000)),
        "list of sensitive outputs": (sorted(assignment.sensitive_outputs), sorted(step.sensitive_outputs)),
        "plugin": (_plugin(installed), _plugin(step.type)),
    }
    for what, (now, planned) in wrong.items():
        if now != planned:
            raise Unapproved(f"the {what} of {path} is {now}, planned was {planned}: plan again")
    if assignment.key.kind is AttemptKind.UNDO and step.undo != "auto":
        raise Unapproved(f"the plan does not let {path} be undone")


def _plugin(of: Mapping[str, Any]) -> str:
    return f"{of.get('distribution') or ''} {of.get('version') or ''}"


def _object(data: bytes, what: str, fields: Mapping[str, type]) -> dict[str, Any]:
    """Read canonical JSON with exactly these fields; raises Unapproved."""
    try:
        said = json.loads(data)
        if not isinstance(said, dict) or canonical(said) != data:
            raise Unapproved(f"{what} is not in its canonical form")
    except (ValueError, RecursionError, CanonicalError):
        raise Unapproved(f"{what} cannot be read") from None
    if said.keys() != fields.keys():
        odd = ", ".join(sorted(said.keys() ^ fields.keys()))
        raise Unapproved(f"{what} has other fields than this agent knows ({odd}): upgrade agent and coordinator")
    for name, kind in fields.items():
        if type(said[name]) is not kind:
            raise Unapproved(f"{what}: {name} is no {kind.__name__}")
    return said
