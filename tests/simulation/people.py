"""What people do in a simulation: they start executions, and then pause, cancel, answer and resolve at any time."""

import asyncio
from typing import Literal

from pilotage_coordinator.domain.approval.request import ANYBODY, Request, Vote
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution import inputs as i
from pilotage_coordinator.domain.execution.state import ExecutionState
from pilotage_coordinator.domain.identifier import uuid7_identifier
from pilotage_coordinator.domain.planning.codec import to_json
from pilotage_coordinator.runtime.executor import Executor, Start
from pilotage_coordinator.store.errors import StoreError
from pilotage_coordinator.store.records import PlanRecord
from pilotage_coordinator.store.sqlite.store import SqliteStore
from pilotage_proto.decision import Answer

from tests.simulation.approvals import DBAS, PERSONS, ROLE, key_of
from tests.simulation.coordinator import Down, SimulatedCoordinator
from tests.simulation.invariants import Oracle
from tests.simulation.loop import spread
from tests.simulation.plans import PlanMaker
from tests.simulation.universe import Universe

ALWAYS_RECORDED = (i.GateReleased, i.UnknownResolved, i.RetryFailed)
"""Requests that, once answered, some event names: others may find that nothing is to be done."""

GIVE_UP = 3600.0
"""Seconds from the beginning after which nobody tries to start an execution any more."""


class People:
    """Everybody who asks something of the coordinator."""

    def __init__(self, universe: Universe, coordinator: SimulatedCoordinator, oracle: Oracle, plans: PlanMaker) -> None:
        self.universe = universe
        self.coordinator = coordinator
        self.oracle = oracle
        self.plans = plans
        self.executions: list[str] = []
        """Those whose start was answered, and those of which nobody knows."""
        self._asked = 0

    async def start(self) -> None:
        """Start an execution, however often it takes."""
        number = len(self.executions) + 1
        plan = self.plans.plan()
        execution = uuid7_identifier("exe", self.universe.wall() // 1000, number)
        by = self._name("anna")
        self.oracle.plans[execution] = plan
        while self.universe.loop.time() < GIVE_UP:
            self.universe.trace(f"{by} starts {execution[-1]}")
            try:
                executor, store = self._parts()
                await self.coordinator.call(store.plans.put(PlanRecord(plan.digest, to_json(plan))))
                if not self._exists(execution):
                    await self.coordinator.call(executor.start(Start(execution, plan, by)))
                    self.oracle.request_answered(execution, by)
                if execution not in self.executions:
                    self.executions.append(execution)
                return
            except (Down, StoreError) as error:
                self.universe.trace(f"{by} gets no answer: {error}")
                if self._exists(execution) and execution not in self.executions:
                    self.executions.append(execution)
                    return
                await asyncio.sleep(1)

    def forget(self) -> None:
        """Speak no more of executions that the coordinator has forgotten."""
        self.executions = [execution for execution in self.executions if self._exists(execution)]

    async def meddle(self, until: float) -> None:
        """Ask this and that, until a time."""
        draw = self.universe.random
        while self.universe.loop.time() < until:
            await asyncio.sleep(spread(draw, 0.3, 12))
            if not self.executions:
                continue
            execution = draw.choice(self.executions)
            by = self._name("bert")
            choices: list[i.Input] = [
                i.PauseRequested(by),
                i.ResumeRequested(by),
                i.CancelRequested(by),
                i.RetryFailed(by),
                i.RollbackRequested(by),
            ]
            weights = [2, 4, 2, 2, 1]
            if draw.random() < 0.15:
                self._cancel_soon(execution, by)
            elif draw.random() < 0.6:
                await self.answer(execution, by)
            else:
                await self.ask(execution, draw.choices(choices, weights)[0], by)

    def _cancel_soon(self, execution: str, by: str) -> None:
        """Cancel at a moment when it hurts."""
        moment = self.universe.random.choice(["assignment delivered", "started journaled", "step begun"])

        def cancel(host: str) -> None:
            self.universe.loop.start(self.ask(execution, i.CancelRequested(by), by), "cancel")

        self.universe.await_moment(moment, 1, cancel)

    async def answer(self, execution: str, by: str, *, finally_: bool = False) -> bool:
        """Answer what an execution waits for: a gate, an unknown run, a pause; says whether it waited for anything."""
        state = await self.state(execution)
        if state is None:
            return False
        draw = self.universe.random
        if state.gates:
            gate = state.gates[draw.choice(sorted(state.gates)) if finally_ else sorted(state.gates)[0]]
            if gate.approval is not None:
                await self._vote(execution, gate.approval, honest=finally_)
            else:
                await self.ask(execution, i.GateReleased(gate.name, by), by)
        elif state.unknown:
            key = sorted(state.unknown)[0]
            answers: list[Literal["succeeded", "failed", "retry"]] = ["succeeded", "failed"]
            if not finally_:
                answers.append("retry")
            await self.ask(execution, i.UnknownResolved(key, draw.choice(answers), by), by)
        elif (
            state.pause_change and state.index.asks and finally_ and not any(not each.step for each in state.rollbacks)
        ):
            # What has drifted is not what was approved: nobody can accept it for those who did. Who rolls back, may.
            await self.ask(execution, i.CancelRequested(by), by)
        elif state.pause_reason is not None:
            await self.ask(execution, i.ResumeRequested(by), by)
        else:
            return False
        return True

    async def _vote(self, execution: str, asked: Request, *, honest: bool) -> None:
        """Answer a request for approval; not `honest`: perhaps as nobody should."""
        draw = self.universe.random
        person = draw.choice(PERSONS)
        say: Answer = "approve"
        digest = asked.plan_digest
        stands_on = person if person in asked.of else ROLE if ROLE in asked.of and person in DBAS else ANYBODY
        if not honest:
            trick = draw.choices(["none", "reject", "other plan", "other role", "disable"], [10, 1, 2, 2, 1])[0]
            say = "reject" if trick == "reject" else say
            digest = f"sha256:{'0' * 64}" if trick == "other plan" else digest
            stands_on = ROLE if trick == "other role" and person not in DBAS else stands_on
            if trick == "disable":
                await self._disable("dan")
        self.oracle.signed.add((asked.id, digest, say, person))
        vote = Vote(person, say, stands_on, key=key_of(person), proof="signed")
        given = i.ApprovalAnswered(asked.id, digest, vote, await self._enabled())
        await self.ask(execution, given, person)

    async def _enabled(self) -> frozenset[str]:
        try:
            _, store = self._parts()
            found = await self.coordinator.call(store.access.principals())
        except (Down, StoreError):
            return frozenset()
        return frozenset(each.name for each in found if each.disabled_at is None)

    async def _disable(self, person: str) -> None:
        """Disable a person, or enable them again."""
        try:
            _, store = self._parts()
            gone = person not in await self._enabled()
            await self.coordinator.call(store.access.disable(person, None if gone else self.universe.wall()))
            self.universe.trace(f"{person} is {'enabled' if gone else 'disabled'}")
        except (Down, StoreError) as error:
            self.universe.trace(f"nobody disables {person}: {error}")

    async def ask(self, execution: str, input: i.Input, by: str) -> None:
        """Give the coordinator an input."""
        self.universe.trace(f"{by} asks {type(input).__name__} of {execution[-1]}")
        try:
            executor, _ = self._parts()
            await self.coordinator.call(executor.submit(execution, input))
        except (Down, StoreError) as error:
            self.universe.trace(f"{by} gets no answer: {error}")
        except DomainError as error:
            self.universe.trace(f"{by} is refused: {error}")
        else:
            self.universe.trace(f"{by} is answered")
            if isinstance(input, ALWAYS_RECORDED):
                self.oracle.request_answered(execution, by)

    async def state(self, execution: str) -> ExecutionState | None:
        """Look at an execution; None when nobody answers."""
        try:
            executor, _ = self._parts()
            return await self.coordinator.call(executor.state(execution))
        except (Down, StoreError):
            return None

    def name(self) -> str:
        """Return a person nobody was before."""
        return self._name("carl")

    def _parts(self) -> tuple[Executor, SqliteStore]:
        executor, store = self.coordinator.executor, self.coordinator.store
        if executor is None or store is None:
            raise Down
        return executor, store

    def _exists(self, execution: str) -> bool:
        return bool(self.oracle.rows("SELECT 1 FROM workflow_executions WHERE id = ?", execution))

    def _name(self, who: str) -> str:
        self._asked += 1
        return f"{who}-{self._asked}"
