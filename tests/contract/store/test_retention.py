from dataclasses import replace

import pytest
from pilotage_coordinator.store.errors import NotFound, Refused
from pilotage_coordinator.store.protocol import Store
from pilotage_coordinator.store.records import PlanRecord, Progress, SecretRecord

from tests.contract.store.records import NOW, PLAN, attempt, audit, change, creation, event, key, step_run


async def ended(store: Store, id: str, at: int, events: int = 2) -> None:
    """Store an execution that has `events` events and ended."""
    await store.executions.create(creation(id, step_runs=(step_run(),)))
    await store.executions.commit(
        change(
            id,
            progress=Progress("completed", ended_at=at),
            events=tuple(event(number) for number in range(2, events + 1)),
            attempts=(attempt(key(id)),),
            audit=(audit(),),
        )
    )


async def test_only_what_ended_before_goes_oldest_first(store: Store) -> None:
    await ended(store, "exe_1", NOW + 20)
    await ended(store, "exe_2", NOW + 10)
    await ended(store, "exe_3", NOW + 30)
    await store.executions.create(creation("exe_4"))
    assert await store.executions.prunable(NOW + 30) == ("exe_2", "exe_1")
    pruned = await store.executions.prune(NOW + 30)
    assert (pruned.executions, pruned.more) == (("exe_2", "exe_1"), False)
    with pytest.raises(NotFound):
        await store.executions.get("exe_1")
    assert await store.executions.events("exe_1") == ()
    assert (await store.executions.step_runs("exe_1")).rows == ()
    assert await store.executions.attempt_keys("exe_1", "backup") == ()
    assert [row.id for row in await store.executions.active()] == ["exe_4"]
    assert (await store.executions.get("exe_3")).progress.status == "completed"


async def test_the_chain_and_the_counters_stay(store: Store) -> None:
    await ended(store, "exe_1", NOW + 10)
    await store.executions.prune(NOW + 30)
    assert (await store.audit.verify()).checked == 1
    (completed,) = [row for row in await store.executions.metrics() if row.status == "completed"]
    assert (completed.current, completed.entered, completed.ended, completed.duration) == (0, 1, 1, 10)


async def test_a_large_execution_goes_in_bounded_pieces(store: Store) -> None:
    await ended(store, "exe_1", NOW + 10, events=50)
    calls = 0
    while (pruned := await store.executions.prune(NOW + 30, rows=10)).more:
        assert pruned.rows <= 13
        calls += 1
        assert calls < 20
    assert calls >= 5
    assert await store.executions.events("exe_1") == ()
    assert await store.executions.prunable(NOW + 30) == ()


async def test_a_plan_goes_with_its_last_execution_or_unused_with_age(store: Store) -> None:
    await store.plans.put(replace(PLAN, digest="sha256:young", created_at=NOW + 100))
    await store.plans.put(PlanRecord("sha256:unused", {}, {}, NOW))
    await ended(store, "exe_1", NOW + 10)
    await store.executions.create(creation("exe_2"))
    await store.executions.prune(NOW + 30)
    assert await store.plans.get(PLAN.digest) == PLAN
    assert (await store.plans.get("sha256:young")).created_at == NOW + 100
    with pytest.raises(NotFound):
        await store.plans.get("sha256:unused")
    await store.executions.commit(change("exe_2", progress=Progress("failed", ended_at=NOW + 20)))
    await store.executions.prune(NOW + 30)
    with pytest.raises(NotFound):
        await store.plans.get(PLAN.digest)


async def test_the_secrets_of_an_execution_go_with_it_and_no_others(store: Store) -> None:
    own = tuple(SecretRecord(f"execution/exe_1/{name}", b"sealed", NOW, "ann") for name in ("password", "call/token"))
    await store.executions.create(creation("exe_1", secrets=own))
    others = [SecretRecord(name, b"sealed", NOW, "ann") for name in ("execution/exe_10/password", "restic/db1")]
    for other in others:
        await store.secrets.put(other)
    assert [row.name for row in await store.secrets.list()] == sorted(row.name for row in (*own, *others))
    await store.executions.commit(change("exe_1", progress=Progress("failed", ended_at=NOW + 1)))
    await store.executions.prune(NOW + 30)
    assert [row.name for row in await store.secrets.list()] == [row.name for row in others]


async def test_a_creation_that_fails_leaves_no_secret(store: Store) -> None:
    secret = SecretRecord("execution/exe_1/password", b"sealed", NOW, "ann")
    unplanned = creation("exe_1", secrets=(secret,))
    with pytest.raises(NotFound):
        await store.executions.create(
            replace(unplanned, execution=replace(unplanned.execution, plan_digest="sha256:nowhere"))
        )
    with pytest.raises(Refused, match="not its own"):
        await store.executions.create(creation("exe_1", secrets=(replace(secret, name="execution/exe_2/password"),)))
    assert await store.secrets.list() == ()
