"""A plan as people are shown it: every step, on which hosts, in which waves, with what would change."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pydantic import JsonValue

from pilotage_coordinator.domain.approval.gate import Gate
from pilotage_coordinator.domain.plan import Effect, Health, Json, Plan, PlannedStep, StepKind
from pilotage_coordinator.domain.planning.view import HostRow, PlanView, StepRow, view_plan
from pilotage_coordinator.service.compliance_view import ComplianceFinding, findings_of
from pilotage_coordinator.service.ports import Planned
from pilotage_coordinator.service.wire import Answer, rfc3339

_Previews: TypeAlias = Mapping[str, Sequence[Mapping[str, Json]]]


class AskedAnswer(Answer):
    """An approval that is asked for: `required` of `of`, where an empty `of` is whoever may decide."""

    required: int
    of: list[str]
    source: str
    description: str
    comment: bool
    timeout: int
    """Microseconds; then it is denied, and `on_timeout` says what else: deny, revert or stop."""
    on_timeout: str
    escalate: list[str]
    """Whom it asks too, later."""


class WaveAnswer(Answer):
    """Hosts of one batch, counted from 1; then a wait (microseconds), a gate and an approval, if there are any."""

    number: int
    hosts: list[str]
    wait: int
    gate: str
    approval: AskedAnswer | None


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


class PlannedItemAnswer(Answer):
    """One item of a loop on one host, by its key, with the parameters that depend on it."""

    key: str
    parameters: dict[str, JsonValue]


class PlannedHostAnswer(Answer):
    """What a step's expressions come to on one host (empty: the coordinator), as far as a plan can know.

    A value that is known at run time only stands as `{"run_time": TEMPLATE}`, a sensitive one as `{"sensitive": HMAC}`.
    """

    host: str
    skipped: bool
    """Its condition is known not to hold here."""
    parameters: dict[str, JsonValue]
    items: list[PlannedItemAnswer] | None
    """What `for_each` goes over here; null: no loop, or known at run time only."""


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
    approvals: list[AskedAnswer]
    """What must be approved before it starts."""
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
    loops: bool
    max_items: int
    """The bound on a host's items, where they are decided while running; 0 where all are known, or without a loop."""
    parameters: dict[str, JsonValue]
    """As written; what its expressions come to stands in `hosts`."""
    hosts: list[PlannedHostAnswer]
    """The hosts for which there is something to say, in rollout order."""
    run_time: list[str]
    """What is known at run time only, in words."""
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


class RulingAnswer(Answer):
    """What the policy says about some steps (by path), and the rules that decided."""

    decision: str
    rules: list[str]
    steps: list[str]


class PlanAnswer(Answer):
    """A plan. `digest` names it: what is approved and started is exactly this."""

    digest: str
    blueprint: str
    version: str
    name: str
    """What people call the blueprint; of a command, its words."""
    blueprint_digest: str
    made_at: str
    targets: list[str]
    parameters: dict[str, JsonValue]
    on_failure: str
    deadline: int
    approvals: list[AskedAnswer]
    """What must be approved before anything starts."""
    steps: list[PlanStepAnswer]
    finally_steps: list[PlanStepAnswer]
    rollback_steps: list[PlanStepAnswer]
    policy: list[RulingAnswer]
    """Empty without a policy. What it denies makes no plan."""
    compliance: list[ComplianceFinding]
    """What the rules of compliance found; those that block make no plan."""
    notes: list[NoteAnswer]
    changes_anything: bool
    """False when every step only reads."""
    step_runs: int
    """How many there will be in the body and in `finally`, where each loop that run time decides has one item."""
    most_step_runs: int
    secrets: list[str]
    """Names of the secrets that steps use, as far as they are known."""


def plan_answer(planned: Planned) -> PlanAnswer:
    """Return a plan with its previews and notes."""
    plan = planned.plan
    writer = _Writer(view_plan(plan), planned.previews)
    return PlanAnswer(
        digest=plan.digest,
        blueprint=plan.blueprint.id,
        version=plan.blueprint.version,
        name=plan.name,
        blueprint_digest=plan.blueprint.digest,
        made_at=rfc3339(planned.made_at),
        targets=list(plan.targets),
        parameters=dict(plan.parameters),
        on_failure=plan.on_failure.value,
        deadline=plan.deadline,
        approvals=[asked_answer(each) for each in plan.approvals],
        steps=writer.steps(plan.steps),
        finally_steps=writer.steps(plan.finally_),
        rollback_steps=writer.steps(plan.rollback.actions if plan.rollback else ()),
        policy=[
            RulingAnswer(decision=each.decision, rules=list(each.rules), steps=list(each.steps))
            for each in plan.policy.rulings
        ],
        compliance=findings_of(planned.compliance),
        notes=[NoteAnswer(message=each.message, step=each.path, host=each.host) for each in planned.notes],
        changes_anything=_changes_anything(plan),
        step_runs=writer.view.step_runs,
        most_step_runs=writer.view.most_step_runs,
        secrets=list(writer.view.secrets),
    )


class _Writer:
    """Writes steps, each from its row and the previews of hosts."""

    def __init__(self, view: PlanView, previews: _Previews) -> None:
        self.view = view
        self._rows = {row.path: row for row in view.rows}
        self._previews = previews

    def steps(self, steps: Sequence[PlannedStep]) -> list[PlanStepAnswer]:
        return [self._step(step, self._rows[step.path]) for step in steps]

    def _step(self, step: PlannedStep, row: StepRow) -> PlanStepAnswer:
        total = len(step.hosts)
        rollout = step.rollout
        hosts = [host for batch in row.batches for host in batch.hosts]
        undecided = any(host.items is None for host in hosts if not host.skipped)
        return PlanStepAnswer(
            path=step.path,
            name=step.name or step.id,
            kind=step.kind.value,
            type=step.type.name if step.type else "",
            effect=step.effect.value if step.kind is StepKind.LEAF else "",
            place=step.place.value,
            destructive=step.destructive,
            irreversible=step.irreversible,
            approvals=[asked_answer(each) for each in step.approvals],
            run_once=step.run_once,
            dependencies=list(step.dependencies),
            when=step.when,
            hosts_from=step.hosts_from.path if step.hosts_from else "",
            waves=_waves(row) if step.hosts else [],
            max_parallel=rollout.max_parallel.of(total) if rollout.max_parallel and total else 0,
            max_failures=rollout.max_failures.of(total) if rollout.max_failures is not None else None,
            rollout_on_failure=rollout.on_failure.value,
            order_by=rollout.order_by,
            health=_health(step.health),
            loops=step.for_each is not None,
            max_items=step.max_items if step.for_each is not None and undecided else 0,
            parameters={**step.arguments, **step.parameters},
            hosts=[_host(each) for each in hosts if each.skipped or each.parameters or each.items is not None],
            run_time=list(row.run_time),
            undo=step.undo,
            on_failure=step.on_failure.value,
            previews=[_preview(each) for each in self._previews.get(step.path, ())],
            refresh_steps=self.steps(rollout.refresh),
            steps=self.steps(step.steps),
            finally_steps=self.steps(step.finally_),
            analysis_steps=self.steps(rollout.analysis),
        )


def asked_answer(gate: Gate) -> AskedAnswer:
    """Return what is asked for, for people."""
    return AskedAnswer(
        required=gate.required,
        of=list(gate.of),
        source=gate.source,
        description=gate.description,
        comment=gate.comment,
        timeout=gate.timeout,
        on_timeout=gate.on_timeout.value,
        escalate=[each.to for each in gate.escalate],
    )


def _waves(row: StepRow) -> list[WaveAnswer]:
    return [
        WaveAnswer(
            number=batch.number,
            hosts=[each.host for each in batch.hosts],
            wait=batch.wait,
            gate=batch.gate,
            approval=asked_answer(batch.approval) if batch.approval is not None else None,
        )
        for batch in row.batches
    ]


def _host(row: HostRow) -> PlannedHostAnswer:
    items = None
    if row.items is not None:
        items = [PlannedItemAnswer(key=each.key, parameters=dict(each.parameters)) for each in row.items]
    return PlannedHostAnswer(host=row.host, skipped=row.skipped, parameters=dict(row.parameters), items=items)


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
