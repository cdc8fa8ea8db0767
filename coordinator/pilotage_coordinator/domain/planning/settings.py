"""What holds for a step after inheritance, in the plan's words: rollout, retry, shares, limits in time."""

from typing import Any

from pilotage_coordinator.domain.blueprint import model
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.plan import Batch, OnFailure, Retry, Rollout
from pilotage_coordinator.domain.planning.around import Around
from pilotage_coordinator.domain.planning.bench import Frame
from pilotage_coordinator.domain.planning.resolution import Resolution, View
from pilotage_coordinator.domain.share import Share
from pilotage_coordinator.domain.values import Amount, read_share


def share_of(amount: Amount | None, frame: Frame, resolution: Resolution) -> Share | None:
    """Return an amount as a share; raises DomainError when its expression fails or gives none."""
    if amount is None or amount.share is not None:
        return amount.share if amount is not None else None
    resolution.require_shared(resolution.tree_references(amount.expression), View(frame))
    return read_share(resolution.render(amount.expression, View(frame)))


def rollout_of(rollout: model.Rollout | None, frame: Frame, resolution: Resolution) -> Rollout:
    """Return a rollout with every amount known, without the steps that it holds; raises DomainError."""
    if rollout is None:
        return Rollout()
    parallel = share_of(rollout.max_parallel, frame, resolution)
    if parallel is not None and parallel.number == 0:
        raise DomainError("max_parallel is 0: nothing would ever run")
    batches = []
    for batch in rollout.batches:
        size = share_of(batch.size, frame, resolution)
        if size is None or size.number == 0:
            raise DomainError("a batch of 0 hosts never ends")
        approval = batch.approval.asked_by("the rollout") if batch.approval is not None else None
        batches.append(Batch(size, batch.wait, approval=approval))
    failures = share_of(rollout.max_failures, frame, resolution)
    return Rollout(parallel, tuple(batches), failures, rollout.on_failure, rollout.order_by or "")


def retry_of(policy: model.RetryPolicy) -> Retry:
    """Return a retry policy in the plan's words."""
    return Retry(
        max_attempts=policy.max_attempts,
        initial_delay=policy.initial_delay,
        multiplier=float(policy.multiplier),
        max_delay=policy.max_delay,
        jitter=float(policy.jitter),
        on=frozenset(policy.on),
    )


def limits_of(step: model.Step, frame: Frame) -> dict[str, Any]:
    """Return the fields of a planned step that are settled by inheritance."""
    settled = step.settled(frame.defaults)
    return {
        "retry": retry_of(settled.retry_policy),
        "timeout": settled.timeout or 0,
        "deadline": step.deadline or 0,
        "on_offline": settled.on_offline,
        "offline_deadline": settled.offline_deadline,
    }


def merged(outer: model.Defaults, inner: model.Defaults) -> model.Defaults:
    """Return the defaults inside a called blueprint: its own words first, then the caller's."""
    return model.Defaults(
        timeout=inner.timeout if inner.timeout is not None else outer.timeout,
        retry_policy=inner.retry_policy or outer.retry_policy,
        on_offline=inner.on_offline or outer.on_offline,
        offline_deadline=inner.offline_deadline if inner.offline_deadline is not None else outer.offline_deadline,
        user=inner.user if inner.user is not None else outer.user,
        env={**outer.env, **inner.env},
        at=inner.at,
    )


def on_failure_of(step: model.Step, around: Around) -> OnFailure:
    """Return what a failure of the step does.

    Inside a group a step that says nothing stops its host's chain: how the group answers is the group's word.
    """
    return step.on_failure or around.on_failure or around.frame.stored.blueprint.on_failure
