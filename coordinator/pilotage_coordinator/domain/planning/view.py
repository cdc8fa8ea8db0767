"""A plan as people read it, without any presentation: command line, web page and assistants render the same rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.plan import Effect, Json, Plan, PlannedStep, Resolved, StepKind
from pilotage_coordinator.domain.planning.every_step import all_steps, hosts_of
from pilotage_coordinator.domain.planning.planned_values import has_mark
from pilotage_coordinator.domain.planning.request import Note

PreviewKey: TypeAlias = tuple[str, str, str]
"""Path of the step, host, item ("" without a loop)."""

_SECRET: Final = re.compile(r"secret://[A-Za-z0-9][A-Za-z0-9._@+/-]*")
_STEP: Final = re.compile(r"\bsteps\.([A-Za-z0-9_]+)")


@dataclass(frozen=True, slots=True)
class PreviewAnswer:
    """What a host says that a step would change, or why it cannot say."""

    preview: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of a loop on one host."""

    key: str
    parameters: Mapping[str, Json]
    preview: PreviewAnswer | None = None


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host ("" = the coordinator) of one step."""

    host: str
    skipped: bool = False
    """Its condition is known not to hold."""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """Those with expressions, as far as they are known; the others stand in the step's row."""
    items: tuple[ItemRow, ...] | None = None
    """None: no loop, or known at run time."""
    preview: PreviewAnswer | None = None


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Hosts that go together; then the microseconds to wait and the gate to release, if others follow."""

    number: int
    hosts: tuple[HostRow, ...]
    wait: int = 0
    gate: str = ""
    approval: Gate | None = None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step. Rows stand in the order of the plan; `depth` is how many groups and calls are around."""

    path: str
    depth: int
    wave: int
    """Steps of one list of siblings with the same wave may run at the same time; counted from 1."""
    section: str
    """`steps`, `finally`, `undo`, `rollback`; `refresh` before each batch of a rollout, `analysis` after it."""
    step: PlannedStep
    batches: tuple[BatchRow, ...]
    run_time: tuple[str, ...] = ()
    """What is known at run time only, in words."""
    step_runs: int = 0
    most_step_runs: int = 0
    loops: bool = False
    """It runs for each item of a loop, its own or one around it."""

    @property
    def changes(self) -> bool:
        """Return whether running it may change anything."""
        return self.step.kind is StepKind.LEAF and self.step.effect is not Effect.READ


@dataclass(frozen=True, slots=True)
class PlanView:
    """What will happen, step by step and host by host."""

    plan: Plan
    rows: tuple[StepRow, ...]
    hosts: tuple[str, ...]
    """Every host that any step may touch, sorted."""
    irreversible: tuple[str, ...]
    """Paths of steps that cannot be undone."""
    destructive: tuple[str, ...]
    secrets: tuple[str, ...]
    """Names of the secrets that steps use, as far as they are known: `restic/db1`."""
    notes: tuple[Note, ...]
    step_runs: int
    """In the body and in `finally`; where a loop is known at run time, one for each host."""
    most_step_runs: int


def view_plan(
    plan: Plan, notes: Sequence[Note] = (), previews: Mapping[PreviewKey, PreviewAnswer] | None = None
) -> PlanView:
    """Return the rows of a plan; `previews` are the answers of hosts, where they were asked."""
    hosts_by_path = hosts_of(plan)
    viewer = _Viewer(plan, previews or {}, hosts_by_path)
    rows = [*viewer.rows(plan.steps, "steps", 0), *viewer.rows(plan.finally_, "finally", 0)]
    if plan.rollback is not None:
        rows += viewer.rows(plan.rollback.actions, "rollback", 0)
    counted = [row for row in rows if row.section not in ("undo", "rollback")]
    return PlanView(
        plan=plan,
        rows=tuple(rows),
        hosts=tuple(sorted({host for hosts in hosts_by_path.values() for host in hosts if host})),
        irreversible=tuple(row.path for row in counted if row.step.irreversible),
        destructive=tuple(row.path for row in counted if row.step.destructive),
        secrets=tuple(sorted(set(_secrets(plan)))),
        notes=tuple(notes),
        step_runs=sum(row.step_runs for row in counted),
        most_step_runs=sum(row.most_step_runs for row in counted),
    )


class _Viewer:
    def __init__(
        self, plan: Plan, previews: Mapping[PreviewKey, PreviewAnswer], hosts: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._plan = plan
        self._previews = previews
        self._hosts = hosts

    def rows(
        self, steps: Sequence[PlannedStep], section: str, depth: int, most_items: int | None = None
    ) -> Iterator[StepRow]:
        """Yield rows; `most_items` is the bound of the loop around, None where there is none."""
        waves = _waves(steps)
        for step in steps:
            inner = step.max_items if step.for_each is not None else most_items
            yield self._row(step, section, depth, waves[step.path], inner)
            yield from self.rows(step.rollout.refresh, "refresh", depth + 1, most_items)
            yield from self.rows(step.steps, section, depth + 1, inner)
            yield from self.rows(step.finally_, "finally" if section == "steps" else section, depth + 1, inner)
            yield from self.rows(step.rollout.analysis, "analysis", depth + 1, most_items)
            yield from self.rows(step.undo_steps, "undo", depth + 1, inner)

    def _row(self, step: PlannedStep, section: str, depth: int, wave: int, most_items: int | None) -> StepRow:
        hosts = [self._host(step, name) for name in self._hosts[step.path]]
        active = [row for row in hosts if not row.skipped]
        few, many = _step_runs(step, active, most_items) if step.kind is StepKind.LEAF else (0, 0)
        return StepRow(
            path=step.path,
            depth=depth,
            wave=wave,
            section=section,
            step=step,
            batches=tuple(_batches(step, hosts)),
            run_time=tuple(self._run_time(step, active)),
            step_runs=few,
            most_step_runs=many,
            loops=most_items is not None,
        )

    def _host(self, step: PlannedStep, host: str) -> HostRow:
        resolved = self._plan.resolved.get(step.path, {})
        common, own = resolved.get("", Resolved()), resolved.get(host, Resolved())
        if own.when is False:
            return HostRow(host, skipped=True)
        items: tuple[ItemRow, ...] | None = None
        if own.items is not None:
            each_item = own.item_parameters or ({},) * len(own.items)
            items = tuple(
                ItemRow(key, parameters, self._previews.get((step.path, host, key)))
                for key, parameters in zip(own.items, each_item, strict=True)
            )
        parameters = {**common.parameters, **own.parameters}
        return HostRow(host, False, parameters, items, self._previews.get((step.path, host, "")))

    def _run_time(self, step: PlannedStep, hosts: Sequence[HostRow]) -> Iterator[str]:
        resolved = self._plan.resolved.get(step.path, {})
        if step.hosts_from is not None:
            most = len(hosts) if step.hosts_from.limit is None else step.hosts_from.limit.of(len(hosts))
            yield f"hosts: up to {most}, those where {step.hosts_from.path} succeeds"
        if step.when and any(resolved.get(row.host, Resolved()).when is None for row in hosts):
            yield f"whether it runs: {step.when}"
        if isinstance(step.for_each, str) and any(row.items is None for row in hosts):
            by = " and ".join(dict.fromkeys(_STEP.findall(step.for_each)))
            yield f"items: up to {step.max_items}, " + (f"decided by {by}" if by else "known at run time")
        for name in sorted({name for row in hosts for name in _unknown(row)}):
            yield f"parameter {name}"


def _step_runs(step: PlannedStep, hosts: Sequence[HostRow], most_items: int | None) -> tuple[int, int]:
    """Return how many step runs are certain where all hosts take part, and how many there may be at most."""
    few = [len(row.items) if row.items is not None else 1 for row in hosts]
    unknown = 1 if most_items is None else most_items
    many = [len(row.items) if row.items is not None else unknown for row in hosts]
    if step.hosts_from is not None and step.hosts_from.limit is not None:
        count = step.hosts_from.limit.of(len(hosts))
        few, many = sorted(few)[:count], sorted(many, reverse=True)[:count]
    return sum(few), sum(many)


def _unknown(row: HostRow) -> Iterator[str]:
    for parameters in (row.parameters, *(item.parameters for item in row.items or ())):
        for name, value in parameters.items():
            if has_mark(value, "run_time"):
                yield name


def _waves(steps: Sequence[PlannedStep]) -> dict[str, int]:
    """Return the wave of each sibling: one more than that of the latest that it waits for."""
    by_path = {step.path: step for step in steps}
    waves: dict[str, int] = {}
    stack = list(reversed(steps))
    while stack:
        step = stack[-1]
        missing = [by_path[path] for path in step.dependencies if path in by_path and path not in waves]
        if missing:
            stack += missing
            continue
        stack.pop()
        waves[step.path] = 1 + max((waves[path] for path in step.dependencies if path in waves), default=0)
    return waves


def _batches(step: PlannedStep, hosts: Sequence[HostRow]) -> Iterator[BatchRow]:
    """Cut hosts as the rollout does: the last batch repeats, percentages are of all hosts; nothing waits after the
    last one."""
    batches, start, number = step.rollout.batches, 0, 0
    if not batches:
        if hosts:
            yield BatchRow(1, tuple(hosts))
        return
    while start < len(hosts):
        batch = batches[min(number, len(batches) - 1)]
        end = start + max(1, batch.size.of(len(hosts)))
        number += 1
        follows = end < len(hosts)
        row = BatchRow(number, tuple(hosts[start:end]))
        yield replace(row, wait=batch.wait, gate=batch.gate, approval=batch.approval) if follows else row
        start = end


def _secrets(plan: Plan) -> Iterator[str]:
    """Yield the secrets in the values that steps are given; a parameter that no step uses names none."""
    waiting: list[Any] = [step.parameters for step in all_steps(plan)]
    for hosts in plan.resolved.values():
        for found in hosts.values():
            waiting += [found.parameters, *found.item_parameters]
    while waiting:
        value = waiting.pop()
        match value:
            case str() if "${{" not in value:
                yield from (name.removeprefix("secret://") for name in _SECRET.findall(value))
            case Mapping():
                waiting += value.values()
            case list() | tuple():
                waiting += value
