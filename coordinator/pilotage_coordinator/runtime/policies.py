"""The policy as people work with it: read, tried, set, and compared with what is under way."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.policy.content import policy_content
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.plan_ruling import judge_plan
from pilotage_coordinator.domain.policy.question import Stage
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.rule import Policy
from pilotage_coordinator.domain.policy.ruling import Asking
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.executor import Executor
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.plan_judging import ENGINE
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.store.records import AuditEntry, PolicyRecord

STARTER: Final = "starter_policy.yaml"
BY: Final = "pilotage"
"""Who set the policy with which a coordinator begins."""


@dataclass(frozen=True, slots=True)
class Affected:
    """An execution under way about which another policy decides otherwise."""

    execution: str
    blueprint: str
    requested_by: str
    status: str
    text: str
    """What it would mean."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The door to the policy that counts."""

    keeper: PolicyKeeper
    executor: Executor
    inventory: LiveInventory
    clock: Clock

    @property
    def version(self) -> int:
        """Return the version that counts; 0 where there is none."""
        return self.keeper.version

    @property
    def fault(self) -> str:
        """Return why the stored policy cannot be read, if so; then nothing is allowed."""
        return self.keeper.fault

    @property
    def policy(self) -> Policy | None:
        """Return the policy that counts."""
        return self.keeper.policy

    def host(self, name: str) -> Host | None:
        """Return a host as the policy sees it."""
        return self.inventory.get(name)

    async def read(self, source: str, file: str) -> Policy:
        """Read a policy's text; raises BlueprintError with every problem."""
        return await asyncio.to_thread(load_policy, source, file)

    async def put(self, record: PolicyRecord, audit: tuple[AuditEntry, ...]) -> None:
        """Let a version count from now on; raises store.Conflict when another one came first."""
        await self.keeper.put(record, audit)

    async def affected(self, policy: Policy) -> tuple[Affected, ...]:
        """Return the executions under way about which this policy decides otherwise than their plans say."""
        states = [state for state in self.executor.states() if state.request]
        inventory = self.inventory.snapshot()
        return await asyncio.to_thread(lambda: tuple(_affected(policy, states, inventory, self.clock.now())))


async def install_starter(keeper: PolicyKeeper, clock: Clock) -> None:
    """Let the starter policy count where there was never any."""
    if keeper.version:
        return
    source = (files("pilotage_coordinator.runtime") / STARTER).read_text(encoding="utf-8")
    policy = await asyncio.to_thread(load_policy, source, STARTER)
    now = clock.now()
    record = PolicyRecord(1, source, policy_content(policy), now, BY, "the policy to begin with")
    entry = AuditEntry(now, "coordinator", "policy.set", "version 1", "allowed", {"comment": record.comment})
    await keeper.put(record, (entry,))


def _affected(
    policy: Policy, states: list[ExecutionState], inventory: Mapping[str, Host], now: int
) -> Iterator[Affected]:
    rules, expressions = Ruleset(policy), Expressions()
    for state in states:
        requested = Requested.from_json(state.request)
        asking = Asking(requested.asker, requested.change, now, Stage.START)
        judged = judge_plan(rules, state.plan, asking, inventory, expressions)
        if judged.refused:
            question, verdict = judged.refused[0]
            where = f" on {question.host.name}" if question.host is not None else ""
            text = f"{question.path}{where} would be denied: {verdict.reasons[0]}"
        elif judged.policy.rulings != tuple(each for each in state.plan.policy.rulings if each.rules != (ENGINE,)):
            said = "; ".join(f"{each.decision} by {', '.join(each.rules)}" for each in judged.policy.rulings)
            text = f"it would be decided otherwise: {said}"
        elif judged.policy.rules != state.plan.policy.rules:
            old, new = state.plan.policy.rules, judged.policy.rules
            names = sorted(name for name in new if new[name] != old.get(name))
            text = f"rules that decided about it are other ones now: {', '.join(names)}"
        else:
            continue
        yield Affected(state.id, str(state.plan.blueprint), state.requested_by, state.status.value, text)
