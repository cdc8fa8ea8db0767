"""The normalised written form of a blueprint: what `validate --expand` prints, and what its digest is taken over.

It is JSON-able, in the rich form, with shorthands and classic names written out, what is default left out, and neither
places nor comments. Reading it again gives an equal blueprint.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pilotage_proto.canonical import digest

from pilotage_coordinator.domain.blueprint.model import Blueprint, RollbackPlan, Step, Undo
from pilotage_coordinator.domain.blueprint.parameter import ChoicesFrom, Parameter, ParameterType, Validation
from pilotage_coordinator.domain.blueprint.retry import Defaults, RetryPolicy
from pilotage_coordinator.domain.blueprint.rollout import Batch, Gate, Health, Rollout, StepApproval
from pilotage_coordinator.domain.blueprint.targets import Lock, Requires, Targets, Windows
from pilotage_coordinator.domain.blueprint.yaml_text import write_yaml
from pilotage_coordinator.domain.values import Amount, write_duration, write_size

Json = dict[str, Any]


def to_json(blueprint: Blueprint) -> Json:
    """Return the canonical form of one blueprint: a file that holds it alone."""
    return {"pilotage": 1, "workflows": {blueprint.id: _blueprint(blueprint)}}


def content_digest(blueprint: Blueprint) -> str:
    """Return `sha256:…` over the canonical form: equal for equal blueprints, however they were written."""
    return digest(to_json(blueprint))


def expand(blueprint: Blueprint) -> str:
    """Return the canonical form as YAML, for people."""
    return write_yaml(to_json(blueprint))


def _blueprint(blueprint: Blueprint) -> Json:
    return _written(
        name=blueprint.name,
        description=blueprint.description,
        category=blueprint.category,
        version=blueprint.version,
        tags=list(blueprint.tags),
        owner=blueprint.owner,
        documentation=blueprint.documentation,
        estimated_duration_minutes=_minutes(blueprint.estimated_duration),
        parameters={name: _parameter(each) for name, each in blueprint.parameters.items()},
        targets=_targets(blueprint.targets),
        requires=_requires(blueprint.requires),
        resource_requirements=dict(blueprint.resource_requirements),
        locks=[_lock(each) for each in blueprint.locks],
        capacity=dict(blueprint.capacity),
        windows=_windows(blueprint.windows),
        concurrency=None
        if blueprint.concurrency is None
        else {"limit": blueprint.concurrency.limit, "on_limit": blueprint.concurrency.on_limit},
        deadline=_duration(blueprint.deadline),
        defaults=_defaults(blueprint.defaults),
        on_failure=blueprint.on_failure.value,
        approvals=[_approval(each) for each in blueprint.approvals],
        steps=_steps(blueprint.steps),
        **{"finally": _steps(blueprint.finally_)},
        rollback_plan=_rollback(blueprint.rollback_plan),
        outputs=dict(blueprint.outputs),
        files=dict(blueprint.files),
    )


def _written(**values: Any) -> Json:
    """Return the values that say something: neither None, nor empty."""
    return {key: value for key, value in values.items() if value is not None and value not in ("", [], {}, ())}


def _unless(value: Any, usual: Any) -> Any:
    """Return the value, or None where it is the usual one."""
    return None if value == usual else value


def _duration(value: int | None) -> str | None:
    return None if value is None else write_duration(value)


def _minutes(value: int | None) -> int | float | None:
    if value is None:
        return None
    minutes = value / 60_000_000
    return int(minutes) if minutes.is_integer() else minutes


def _amount(value: Amount | None) -> int | str | None:
    return None if value is None else value.write()


def _parameter(parameter: Parameter) -> Json:
    written = _written(
        type=parameter.type.value,
        required=parameter.required or None,
        description=parameter.description,
        choices=list(parameter.choices),
        choices_from=_choices_from(parameter.choices_from),
        sensitive=(parameter.sensitive and parameter.type is not ParameterType.SECRET) or None,
        allow_offline=parameter.allow_offline or None,
        validation=_validation(parameter.validation, parameter.type),
        items=_parameter(parameter.items) if parameter.items is not None else None,
        properties={name: _parameter(each) for name, each in parameter.properties.items()},
    )
    return {**written, "default": parameter.default} if parameter.has_default else written


def _choices_from(source: ChoicesFrom | None) -> Json | None:
    if source is None:
        return None
    return _written(type=source.type, values=source.values, parameters=_plain(source.parameters))


def _validation(validation: Validation, kind: ParameterType) -> Json:
    def bound(value: int | float | None) -> Any:
        if value is None or not isinstance(value, int) or value < 0:
            return value
        if kind is ParameterType.DURATION and value % 1000 == 0:
            return write_duration(value)
        return write_size(value) if kind is ParameterType.SIZE else value

    return _written(
        min=bound(validation.min),
        max=bound(validation.max),
        pattern=validation.pattern,
        max_items=validation.max_items,
        that=validation.that,
    )


def _targets(targets: Targets | None) -> Json | None:
    if targets is None:
        return None
    return _written(
        select=targets.select,
        hosts=targets.hosts_expression or list(targets.hosts),
        **{"from": targets.from_step},
        exclude=list(targets.exclude),
        order=_unless(targets.order, "name"),
        limit=_amount(targets.limit),
    )


def _requires(requires: Requires | None) -> Json | None:
    if requires is None:
        return None
    return _written(
        hosts=_written(min=requires.min_hosts, max=requires.max_hosts),
        all_online=requires.all_online or None,
        capabilities=list(requires.capabilities),
        backup_within=_duration(requires.backup_within),
        that=list(requires.that),
    )


def _lock(lock: Lock) -> str | Json:
    return lock.name if lock.exclusive else {"name": lock.name, "mode": "shared"}


def _windows(windows: Windows | None) -> Json | None:
    if windows is None:
        return None
    return {"names": list(windows.names), "on_closed": windows.on_closed, "gate": windows.gate}


def _defaults(defaults: Defaults) -> Json:
    return _written(
        timeout=_duration(defaults.timeout),
        retry_policy=_retry(defaults.retry_policy),
        on_offline=defaults.on_offline.value if defaults.on_offline is not None else None,
        offline_deadline=_duration(defaults.offline_deadline),
        user=defaults.user,
        env=dict(defaults.env),
    )


def _retry(policy: RetryPolicy | None) -> Json | None:
    if policy is None:
        return None
    return {
        "max_attempts": policy.max_attempts,
        "initial_delay": write_duration(policy.initial_delay),
        "multiplier": policy.multiplier,
        "max_delay": write_duration(policy.max_delay),
        "jitter": policy.jitter,
        "on": [kind.value for kind in policy.on],
    }


def _gate(gate: Gate) -> Json:
    return _written(
        required=gate.required,
        of=list(gate.of),
        timeout=write_duration(gate.timeout),
        on_timeout=gate.on_timeout.value,
        escalate=[{"after": write_duration(each.after), "to": each.to} for each in gate.escalate],
        comment=gate.comment or None,
        description=gate.description,
        strict=gate.strict or None,
        separation=_unless(gate.separation, True),
    )


def _approval(approval: StepApproval) -> Json:
    return {"step": approval.step, **_gate(approval.gate)}


def _batch(batch: Batch) -> Any:
    then = _written(
        wait=_duration(batch.wait) if batch.wait else None,
        approval=_gate(batch.approval) if batch.approval is not None else None,
    )
    return {"size": batch.size.write(), "then": then} if then else batch.size.write()


def _health(health: Health | None) -> Json | None:
    if health is None:
        return None
    return {
        "for": write_duration(health.for_),
        "within": write_duration(health.within),
        "every": write_duration(health.every),
        "steps": _steps(health.steps),
    }


def _rollout(rollout: Rollout | None) -> Json | None:
    if rollout is None:
        return None
    return _written(
        max_parallel=_amount(rollout.max_parallel),
        batches=[_batch(each) for each in rollout.batches],
        order_by=rollout.order_by,
        refresh=_steps(rollout.refresh),
        health=_health(rollout.health),
        analysis=_steps(rollout.analysis),
        max_failures=_amount(rollout.max_failures),
        on_failure=rollout.on_failure.value,
    )


def _rollback(plan: RollbackPlan | None) -> Json | None:
    if plan is None:
        return None
    return _written(enabled=True, conditions=list(plan.conditions), actions=_steps(plan.actions))


def _steps(steps: Iterable[Step]) -> list[Json]:
    return [_step(each) for each in steps]


def _step(step: Step) -> Json:
    return _written(
        id=step.id,
        name=step.name,
        description=step.description,
        type=step.type,
        blueprint=str(step.call) if step.call is not None else None,
        dependencies=list(step.dependencies),
        when=step.when,
        targets=_targets(step.targets),
        run_once=step.run_once or None,
        place=step.place.value if step.place is not None else None,
        for_each=step.for_each,
        key=step.key,
        max_items=_unless(step.max_items, 1000),
        at_plan=step.at_plan or None,
        rollout=_rollout(step.rollout),
        locks=[_lock(each) for each in step.locks],
        capacity=dict(step.capacity),
        windows=_windows(step.windows),
        requires_approval=step.requires_approval or None,
        approvers=list(step.approvers),
        timeout=_duration(step.timeout),
        deadline=_duration(step.deadline),
        retry_policy=_retry(step.retry_policy),
        on_offline=step.on_offline.value if step.on_offline is not None else None,
        offline_deadline=_duration(step.offline_deadline),
        on_failure=step.on_failure.value if step.on_failure is not None else None,
        irreversible=step.irreversible or None,
        undo=_steps(step.undo_steps) if step.undo is Undo.STEPS else _unless(step.undo.value, "auto"),
        sensitive_outputs=list(step.sensitive_outputs),
        effect=step.effect.value if step.effect is not None else None,
        on_unknown=_unless(step.on_unknown.value, "hold"),
        parameters=_plain(step.parameters),
        steps=_steps(step.steps),
        **{"finally": _steps(step.finally_)},
    )


def _plain(value: object) -> Any:
    match value:
        case Mapping():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return value
