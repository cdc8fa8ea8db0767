"""A plan in parts: what each host may be asked to do, and the head that holds everything else.

A host that wants plans signed is given its slice and the steps in it, and sees by their digests that people have agreed
to exactly that. docs/security.md has the format, for whoever wants to check it without this code.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotage_proto.canonical import digest as digest_of
from pilotage_proto.plan_digest import plan_digest

from pilotage_coordinator.domain.execution.index import guard_name
from pilotage_coordinator.domain.plan import Place, Plan, PlannedStep, StepKind
from pilotage_coordinator.domain.planning.every_step import hosts_of
from pilotage_coordinator.domain.planning.json_form import written


@dataclass(frozen=True, slots=True)
class Parts:
    """A plan in parts, as JSON values: nothing of its content is in none of them."""

    head: Mapping[str, Any]
    slices: Mapping[str, Mapping[str, Any]]
    """By the host's name. Each step is named in it by path and digest, with what is the host's own of it."""
    steps: Mapping[str, Mapping[str, Any]]
    """By path: what hosts are told to do in a step. The head holds all of it too."""

    @property
    def digest(self) -> str:
        """Return the plan's digest. Raises CanonicalError for numbers that JSON cannot keep exactly."""
        return plan_digest(digest_of(self.head), [digest_of(each) for each in self.slices.values()])


@dataclass(frozen=True, slots=True)
class _Found:
    """A step that hosts work on, and the gates that must be open before."""

    step: PlannedStep
    guards: tuple[str, ...]
    loops: bool


def parts_of(plan: Plan, content: Mapping[str, Any]) -> Parts:
    """Divide a plan's content. O(step runs of the plan)."""
    hosts = hosts_of(plan)
    steps: dict[str, dict[str, Any]] = {}
    slices: dict[str, dict[str, Any]] = {}
    resolved = {path: dict(by_host) for path, by_host in content.get("resolved", {}).items()}
    for found in _worked_on(plan):
        path = found.step.path
        by_host = resolved.get(path, {})
        steps[path] = _order(found, by_host.get("", {}))
        digest = digest_of(steps[path])
        for host in hosts[path]:
            if host in plan.host_ids:
                slices.setdefault(host, _empty(plan, host))["steps"][path] = {
                    "step": digest,
                    **_type_on(found.step, host),
                    **({"own": by_host.pop(host)} if host in by_host else {}),
                }
    kept = {path: by_host for path, by_host in resolved.items() if by_host}
    head = {name: each for name, each in content.items() if name != "resolved"}
    return Parts({**head, "resolved": kept}, slices, steps)


def _empty(plan: Plan, host: str) -> dict[str, Any]:
    variables = dict(plan.host_variables.get(host, {}))
    return {"host": host, "host_id": plan.host_ids[host], "variables": variables, "steps": {}}


def _order(found: _Found, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return what hosts are told to do in a step, every field of it written out."""
    step = found.step
    assert step.type is not None
    return {
        "path": step.path,
        "type": written(step.type),
        "effect": str(step.effect),
        "parameters": dict(step.parameters),
        "files": dict(step.files),
        "loops": found.loops,
        "attempts": step.retry.max_attempts,
        "timeout": step.timeout,
        "undo": "none" if step.irreversible else step.undo,
        "sensitive_outputs": list(step.sensitive_outputs),
        "guards": list(found.guards),
        "common": common,
    }


def _type_on(step: PlannedStep, host: str) -> dict[str, Any]:
    return {"type": written(step.type_on[host])} if host in step.type_on else {}


def _worked_on(plan: Plan) -> Iterator[_Found]:
    """Yield the steps that hosts work on, wherever they stand."""
    always = _guards("", len(plan.approvals))
    yield from _inside((*plan.steps, *plan.finally_), always, always, loops=False)
    if plan.rollback is not None:
        # What puts in order waits for nobody: it was agreed to together with what it reverts.
        yield from _inside(plan.rollback.actions, None, always, loops=False)


def _inside(
    steps: Sequence[PlannedStep], around: tuple[str, ...] | None, always: tuple[str, ...], *, loops: bool
) -> Iterator[_Found]:
    for step in steps:
        guards = None if around is None else (*around, *_guards(step.path, len(step.approvals)))
        within = loops or step.for_each is not None
        if step.kind is StepKind.LEAF and step.type is not None and step.place is Place.HOST:
            yield _Found(step, guards or (), within)
        yield from _inside((*step.steps, *step.finally_), guards, always, loops=within)
        yield from _inside(step.undo_steps, None, always, loops=within)
        beside = None if around is None else always
        yield from _inside((*step.rollout.refresh, *step.rollout.analysis), beside, always, loops=loops)


def _guards(path: str, count: int) -> tuple[str, ...]:
    return tuple(guard_name(path, number) for number in range(1, count + 1))
