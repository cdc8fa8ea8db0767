"""The policy that counts: kept ready, replaced whole, asked at dispatch; and what a plan and a start make of it."""

from collections.abc import AsyncIterator

import pytest
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.plan import BlueprintRef, Plan, PlannedStep, StepKind, StepTypeUse
from pilotage_coordinator.domain.planning.errors import PlanUnreadable
from pilotage_coordinator.domain.policy.content import policy_content
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.question import Asker, Change
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.rule import ChangeClass
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.policies import install_starter
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.runtime.world import RuntimeWorld
from pilotage_coordinator.store.errors import Conflict
from pilotage_coordinator.store.records import PolicyRecord
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store

OWNER = Requested(Asker("anna", "person", frozenset({"owner"})), Change("CHG-1", "why", ChangeClass.NORMAL))
BOT = Requested(Asker("bot", "assistant"))
STEP = PlannedStep("a", StepKind.LEAF, type=StepTypeUse("command.run"), hosts=("h1",))
PLAN = Plan(BlueprintRef("x", "1.0.0", "sha256:0"), {}, ("h1",), (STEP,))


class StoppedClock:
    def now(self) -> int:
        return 1_772_452_800_000_000

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    yield store
    await store.close()


def record(version: int, rules: str) -> PolicyRecord:
    source = f"policy: 1\nrules: [{rules}]\n"
    return PolicyRecord(version, source, policy_content(load_policy(source, "p.yaml")), 0, "anna")


def forbids(store: SqliteStore, keeper: PolicyKeeper | None, requested: Requested) -> str:
    world = RuntimeWorld.over(LiveInventory(store.hosts, StoppedClock()), Expressions(), {}, keeper)
    return world.forbids(PLAN, STEP, "h1", {}, requested.to_json(), StoppedClock().now())


async def test_where_there_is_no_policy_nothing_is_forbidden(store: SqliteStore) -> None:
    keeper = PolicyKeeper(store.policies)
    await keeper.load()
    assert (keeper.version, keeper.policy) == (0, None)
    assert forbids(store, keeper, BOT) == ""
    assert forbids(store, None, BOT) == ""


async def test_a_version_counts_from_the_moment_that_it_is_stored(store: SqliteStore) -> None:
    keeper = PolicyKeeper(store.policies)
    await keeper.put(record(1, "{name: all, level: global, decision: allow}"))
    assert forbids(store, keeper, BOT) == ""
    await keeper.put(record(2, "{name: none, level: global, decision: deny, kinds: assistant}"))
    assert forbids(store, keeper, BOT) == ("command.run on the coordinator is not allowed now: deny by none (global)")
    again = PolicyKeeper(store.policies)
    await again.load()
    assert again.policy == keeper.policy
    assert again.version == 2


async def test_one_that_came_second_or_cannot_be_read_leaves_the_policy_as_it_is(store: SqliteStore) -> None:
    keeper = PolicyKeeper(store.policies)
    await keeper.put(record(1, "{name: all, level: global, decision: allow}"))
    before = keeper.rules
    with pytest.raises(Conflict):
        await keeper.put(record(1, "{name: none, level: global, decision: deny}"))
    with pytest.raises(PlanUnreadable):
        await keeper.put(PolicyRecord(2, "", {"rules": [{"tomorrow": True}]}, 0, "anna"))
    assert keeper.rules is before
    newest = await store.policies.newest()
    assert newest is not None
    assert newest.version == 1


async def test_a_stored_policy_that_cannot_be_read_allows_nothing_to_anybody(store: SqliteStore) -> None:
    await store.policies.add(PolicyRecord(1, "", {"rules": [{"tomorrow": True}]}, 0, "anna"))
    keeper = PolicyKeeper(store.policies)
    await keeper.load()
    assert "tomorrow" in keeper.fault
    assert "no rule allows" in forbids(store, keeper, OWNER)
    await keeper.put(record(2, "{name: all, level: global, decision: allow}"))
    assert keeper.fault == ""
    assert forbids(store, keeper, OWNER) == ""


async def test_the_starter_policy_is_installed_once_and_never_over_another(store: SqliteStore) -> None:
    keeper = PolicyKeeper(store.policies)
    await install_starter(keeper, StoppedClock())
    assert forbids(store, keeper, OWNER) == ""
    assert "needs an approval" in forbids(store, keeper, BOT)
    assert "no rule allows" in forbids(store, keeper, Requested(Asker("eve")))
    await keeper.put(record(2, "{name: all, level: global, decision: allow}"))
    await install_starter(keeper, StoppedClock())
    assert keeper.version == 2
    assert [each.entry.operation for each in await store.audit.read()] == ["policy.set"]


def test_who_asked_survives_the_store() -> None:
    for requested in (OWNER, BOT):
        assert Requested.from_json(requested.to_json()) == requested
