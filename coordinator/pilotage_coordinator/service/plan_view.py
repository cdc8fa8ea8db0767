"""A plan as people are shown it: every step, on which hosts, in which waves, with what would change."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pydantic import JsonValue

from pilotage_coordinator.domain.plan import Effect, Health, Json, Plan, PlannedStep, Rollout, StepKind
from pilotage_coordinator.service.ports import Planned
from pilotage_coordinator.service.wire import Answer, rfc3339

_Previews: TypeAlias = Mapping[str, Sequence[Mapping[str, Json]]]


class WaveAnswer(Answer):
    """Hosts of one batch; then a wait (microseconds) and a gate, if there are any. `number` counts from 1."""

    number: int
    hosts: list[str]
    wait: int
    gate: str


class ChangeAnswer(Answer):
    """One thing that would happen on a host."""

    action: str
    subject: str
    before: str | None = None
    after: str | None = None
    note: str = ""


class PreviewAnswer(Answer):
    """What would change on one host; `complete` is false when that cannot all be known before."""

    host: str
    item: str
    changes: list[ChangeAnswer]
    complete: bool
    note: str


class HealthAnswer(Answer):
    """A health gate: its checks stand in `steps`. All in microseconds."""

    stable: int
    """For so long all checks must have succeeded."""
    within: int
    """At the latest then; else the host has failed."""
    every: int


class PlanStepAnswer(Answer):
    """One step of a plan. A step inside a group has no waves of its own: it runs where its group runs."""

    path: str
    name: str
    kind: str
    type: str
    effect: str
    place: str
    destructive: bool
    irreversible: bool
    run_once: bool
    dependencies: list[str]
    when: str
    hosts_from: str
    """Path of the step that decides the hosts while running; empty when they are known."""
    waves: list[WaveAnswer]
    max_parallel: int
    """Hosts at a time; 0 = all of a wave."""
    max_failures: int | None
    """More failed hosts than this end the rollout; null = no limit."""
    rollout_on_failure: str
    """What its end does then: stop, revert_host, revert_batch or revert_all."""
    order_by: str
    """What the hosts are ordered by, anew before each wave: the waves shown here are then only their sizes."""
    health: HealthAnswer | None
    items: list[JsonValue] | None
    """What `for_each` goes over, when it is known."""
    max_items: int
    """The bound on items that are decided while running; 0 without such a loop."""
    parameters: dict[str, JsonValue]
    undo: str
    on_failure: str
    previews: list[PreviewAnswer]
    refresh_steps: list["PlanStepAnswer"]
    """Before each wave, on the hosts that have not begun."""
    steps: list["PlanStepAnswer"]
    finally_steps: list["PlanStepAnswer"]
    analysis_steps: list["PlanStepAnswer"]
    """Once after each wave: whether it went well."""


class NoteAnswer(Answer):
    """Something to know before saying yes."""

    message: str
    step: str
    host: str


class PlanAnswer(Answer):
    """A plan. `digest` names it: what is approved and started is exactly this."""

    digest: str
    blueprint: str
    version: str
    blueprint_digest: str
    made_at: str
    targets: list[str]
    parameters: dict[str, JsonValue]
    on_failure: str
    deadline: int
    steps: list[PlanStepAnswer]
    finally_steps: list[PlanStepAnswer]
    rollback_steps: list[PlanStepAnswer]
    notes: list[NoteAnswer]
    changes_anything: bool
    """False when every step only reads."""


def plan_answer(planned: Planned) -> PlanAnswer:
    """Return a plan with its previews and notes."""
    plan = planned.plan
    steps = [_step(each, planned.previews) for each in plan.steps]
    return PlanAnswer(
        digest=plan.digest,
        blueprint=plan.blueprint.id,
        version=plan.blueprint.version,
        blueprint_digest=plan.blueprint.digest,
        made_at=rfc3339(planned.made_at),
        targets=list(plan.targets),
        parameters=dict(plan.parameters),
        on_failure=plan.on_failure.value,
        deadline=plan.deadline,
        steps=steps,
        finally_steps=[_step(each, planned.previews) for each in plan.finally_],
        rollback_steps=[_step(each, {}) for each in (plan.rollback.actions if plan.rollback else ())],
        notes=[NoteAnswer(message=each.message, step=each.path, host=each.host) for each in planned.notes],
        changes_anything=_changes_anything(plan),
    )


def waves(hosts: tuple[str, ...], rollout: Rollout) -> list[WaveAnswer]:
    """Cut hosts into a rollout's batches; the last batch repeats until none are left."""
    if not hosts:
        return []
    if not rollout.batches:
        return [WaveAnswer(number=1, hosts=list(hosts), wait=0, gate="")]
    found: list[WaveAnswer] = []
    start = 0
    while start < len(hosts):
        batch = rollout.batches[min(len(found), len(rollout.batches) - 1)]
        end = start + max(1, batch.size.of(len(hosts)))
        last = end >= len(hosts)
        found.append(
            WaveAnswer(
                number=len(found) + 1,
                hosts=list(hosts[start:end]),
                wait=0 if last else batch.wait,
                gate="" if last else batch.gate,
            )
        )
        start = end
    return found


def _step(step: PlannedStep, previews: _Previews) -> PlanStepAnswer:
    total = len(step.hosts)
    rollout = step.rollout
    return PlanStepAnswer(
        path=step.path,
        name=step.name or step.id,
        kind=step.kind.value,
        type=step.type.name if step.type else "",
        effect=step.effect.value if step.kind is StepKind.LEAF else "",
        place=step.place.value,
        destructive=step.destructive,
        irreversible=step.irreversible,
        run_once=step.run_once,
        dependencies=list(step.dependencies),
        when=step.when,
        hosts_from=step.hosts_from.path if step.hosts_from else "",
        waves=waves(step.hosts, rollout),
        max_parallel=rollout.max_parallel.of(total) if rollout.max_parallel and total else 0,
        max_failures=rollout.max_failures.of(total) if rollout.max_failures is not None else None,
        rollout_on_failure=rollout.on_failure.value,
        order_by=rollout.order_by,
        health=_health(step.health),
        items=list(step.for_each) if isinstance(step.for_each, tuple) else None,
        max_items=step.max_items if isinstance(step.for_each, str) else 0,
        parameters=dict(step.arguments if step.kind is StepKind.CALL else step.parameters),
        undo=step.undo,
        on_failure=step.on_failure.value,
        previews=[_preview(each) for each in previews.get(step.path, ())],
        refresh_steps=[_step(each, previews) for each in rollout.refresh],
        steps=[_step(each, previews) for each in step.steps],
        finally_steps=[_step(each, previews) for each in step.finally_],
        analysis_steps=[_step(each, previews) for each in rollout.analysis],
    )


def _health(health: Health | None) -> HealthAnswer | None:
    return None if health is None else HealthAnswer(stable=health.for_, within=health.within, every=health.every)


def _preview(preview: Mapping[str, Json]) -> PreviewAnswer:
    """Return a host's preview; one that could not be had says why in its note."""
    return PreviewAnswer.model_validate({"item": "", "changes": [], "complete": True, "note": "", **preview})


def _changes_anything(plan: Plan) -> bool:
    waiting = [*plan.steps, *plan.finally_]
    while waiting:
        step = waiting.pop()
        if step.kind is StepKind.LEAF and step.effect is not Effect.READ:
            return True
        waiting += (*step.steps, *step.finally_, *step.rollout.analysis)
    return False
