"""Retries before the real policy: whoever retries needs, for the whole plan, what a start of their own would need."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from pilotage_coordinator.domain.access.grant import Grant
from pilotage_coordinator.domain.access.principal import PrincipalKind
from pilotage_coordinator.domain.access.role import BUILT_IN
from pilotage_coordinator.domain.execution import inputs
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.policy.content import policy_content
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.question import Asker, Change
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.rule import Decision
from pilotage_coordinator.runtime import external_policy
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.planner import PlanMaker
from pilotage_coordinator.runtime.runs import Runs
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.service import control
from pilotage_coordinator.service.caller import Caller
from pilotage_coordinator.service.control import RetryRun
from pilotage_coordinator.service.errors import Denied
from pilotage_coordinator.store.records import (
    AuditEntry,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    PolicyRecord,
    Progress,
)

from tests.unit.service.desk import ASSERT, EXECUTION, NOW, OWNER, SOURCE, Desk

BOB = Caller("bob", PrincipalKind.PERSON, (Grant(BUILT_IN["operator"]),))
ALLOW = """\
policy: 1
rules:
  - {name: owners, level: role, roles: owner, decision: allow}
"""
OPERATORS = "  - {name: operators, level: role, roles: operator, decision: %s}\n"


@dataclass
class Executor:
    """Keeps what it is given, as the engine's door; `others` are under way."""

    store: Any
    plan: Any
    others: list[ExecutionState] = field(default_factory=list)
    given: list[inputs.Input] = field(default_factory=list)

    async def state(self, execution: str) -> ExecutionState:
        return ExecutionState.new(execution, self.plan)

    def states(self) -> Iterator[ExecutionState]:
        yield from self.others

    async def submit(self, execution: str, input: inputs.Input, audit: tuple[AuditEntry, ...]) -> None:
        self.given.append(input)
        await self.store.audit.append(*audit)


@dataclass
class Ended:
    """An execution of the owner that has ended, and what retries it."""

    desk: Desk
    executor: Executor
    services: Any

    async def policy(self, source: str) -> None:
        """Let another policy count."""
        keeper = self.desk.policies.keeper
        content = policy_content(load_policy(source, "policy.yaml"))
        await keeper.put(PolicyRecord(keeper.version + 1, source, content, NOW, "ann"), ())

    async def retry(self, caller: Caller = BOB, step: str | None = "sane") -> None:
        await control.retry_run(self.services, caller, RetryRun(execution=EXECUTION, from_step=step))

    async def refused(self, step: str | None = "sane") -> Denied:
        with pytest.raises(Denied) as refusal:
            await self.retry(step=step)
        assert self.executor.given == []
        return refusal.value


@pytest.fixture
async def ended(desk: Desk) -> Ended:
    cipher = StoreCipher(b"k" * 32)
    library: Any = desk.services.library
    clock: Any = desk.services.clock
    vault = SecretVault(desk.store.secrets, desk.store.blueprints, cipher, clock)
    plans = PlanMaker(
        store=desk.store.plans,
        audit=desk.store.audit,
        shelf=PlanShelf(desk.store.plans),
        library=library,
        inventory=desk.inventory,
        coordinator_types={ASSERT.name: ASSERT},
        port=SimpleNamespace(),
        vault=vault,
        cipher=cipher,
        clock=clock,
        sensitive_key=b"s" * 32,
        hosts=desk.store.hosts,
        compliance=desk.store.compliance,
        policy=desk.policies.keeper,
    )
    content = policy_content(load_policy(ALLOW, "policy.yaml"))
    await desk.policies.keeper.put(PolicyRecord(1, ALLOW, content, NOW, "ann"), ())
    (blueprint,) = await library.read(SOURCE, "check.yaml")
    ann = Requested(Asker("ann", "person", frozenset({"owner"})), Change(reason="each night"))
    made = await plans.make(blueprint, "", {}, "", "ann", previews=False, requested=ann)
    row = ExecutionRecord(EXECUTION, "check", "1.0.0", made.plan.digest, "ann", NOW, Progress("failed", ended_at=NOW))
    asked = ExecutionInputs(request=ann.to_json())
    await desk.store.executions.create(ExecutionCreation(row, asked))
    executor = Executor(desk.store, made.plan)
    runs = Runs(executor, plans, vault)  # type: ignore[arg-type]
    return Ended(desk, executor, replace(desk.services, runs=runs))


async def test_whom_the_policy_denies_a_start_it_denies_a_retry_of_somebody_elses(ended: Ended) -> None:
    for step in ("sane", None):
        assert "the policy denies validation.assert" in (await ended.refused(step)).detail
    await ended.policy(ALLOW + OPERATORS % "deny")
    refusal = await ended.refused()
    assert "operators" in refusal.detail
    assert refusal.problems[0].path == "sane"


async def test_whom_the_policy_lets_start_it_lets_retry_and_the_audit_log_says_whose_it_was(ended: Ended) -> None:
    await ended.policy(ALLOW + OPERATORS % "allow")
    await ended.retry()
    await ended.retry(OWNER, None)
    assert ended.executor.given == [inputs.RerunFrom("sane", "bob"), inputs.RetryFailed("ann")]
    entries = [each.entry for each in await ended.desk.store.audit.read()]
    retried = next(each for each in entries if each.operation == "run.retry")
    assert (retried.principal, retried.outcome) == ("bob", "allowed")
    assert (retried.detail["started_by"], retried.detail["policy_version"]) == ("ann", 2)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("require_approval", "an approval that this execution does not ask for, by operators"),
        ("dry_run_only", "planned only, by operators"),
        ("allow, requires: reference", "asks for the reference of the change"),
    ],
)
async def test_what_the_policy_asks_of_a_start_is_not_gone_round_by_a_retry(
    ended: Ended, rule: str, words: str
) -> None:
    await ended.policy(ALLOW + OPERATORS % rule)
    refusal = await ended.refused()
    assert words in refusal.detail
    assert "start it anew" in refusal.fix
    await ended.retry(OWNER)


async def test_the_reason_of_the_first_start_counts_for_a_retry(ended: Ended) -> None:
    await ended.policy(ALLOW + OPERATORS % "allow, requires: reason")
    await ended.retry()


async def test_an_approval_that_the_plan_asks_for_is_asked_again_and_refuses_nothing(ended: Ended) -> None:
    source = ALLOW.replace("decision: allow", "decision: require_approval")
    await ended.policy(source)
    plans: Any = ended.services.runs.plans
    (blueprint,) = await ended.services.library.read(SOURCE, "check.yaml")
    ann = Requested(Asker("ann", "person", frozenset({"owner"})))
    made = await plans.make(blueprint, "", {}, "", "ann", previews=False, requested=ann)
    ended.executor.plan = made.plan
    await ended.retry(OWNER)
    await ended.policy(source.replace("require_approval", "require_approval, approval: {required: 2}"))
    with pytest.raises(Denied, match="does not ask for, by owners"):
        await ended.retry(OWNER)


async def test_a_retry_counts_among_those_that_run_at_a_time(ended: Ended) -> None:
    await ended.policy(ALLOW + OPERATORS % "allow, max_concurrent: 1")
    plans: Any = ended.services.runs.plans
    (blueprint,) = await ended.services.library.read(SOURCE, "check.yaml")
    bob = Requested(Asker("bob", "person", frozenset({"operator"})))
    made = await plans.make(blueprint, "", {}, "", "bob", previews=False, requested=bob)
    ended.executor.others = [ExecutionState.new("exe_other", made.plan)]
    assert "exe_other" in (await ended.refused()).detail
    ended.executor.others = []
    await ended.retry()


async def test_compliance_is_looked_at_again(ended: Ended) -> None:
    rules = ALLOW + OPERATORS % "allow"
    await ended.policy(rules + "compliance: [{name: kept, enforce: block, require: {stored: true}}]\n")
    assert "kept" in (await ended.refused()).detail


async def test_the_external_engine_is_asked_again(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def ask(engine: Any, plan: Any, asking: Any) -> Any:
        asked.append(asking.asker.principal)
        return SimpleNamespace(decision=Decision.DENY, reason="not bob")

    monkeypatch.setattr(external_policy, "ask_external", ask)
    await ended.policy(ALLOW + OPERATORS % "allow" + "external: {url: 'http://127.0.0.1:9/v1/data/x'}\n")
    assert "not bob" in (await ended.refused()).detail
    assert asked == ["bob"]
