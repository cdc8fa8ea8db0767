"""The policy's part in making one plan: its word on what hosts are asked before, and on the plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Final

from pilotage_coordinator.domain.compliance.checking import applying, check
from pilotage_coordinator.domain.compliance.facts import BlueprintFacts, Facts, HostFacts
from pilotage_coordinator.domain.compliance.finding import Checked
from pilotage_coordinator.domain.compliance.plan_facts import steps_of_plan
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import BlueprintRef, Effect, FailureKind, Json, Plan, PlanPolicy, Ruling
from pilotage_coordinator.domain.planning.approvals import approvals_of_policy
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.planning.request import Library, PlanRequest, Questions, StoredBlueprint
from pilotage_coordinator.domain.policy.content import compliance_content
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.plan_ruling import judge_plan, refusal
from pilotage_coordinator.domain.policy.question import Question, Subject
from pilotage_coordinator.domain.policy.rule import Decision
from pilotage_coordinator.domain.policy.ruling import Asking
from pilotage_coordinator.domain.proof import Proof

ENGINE: Final = "the external engine"
"""Stands among the rules that decided where it was that."""


@dataclass(slots=True)
class PlanJudging:
    """One for one plan: plans are made in threads, and neither rules nor expressions are shared among them."""

    rules: Ruleset
    asking: Asking
    inventory: Inventory
    library: Library
    blueprint: StoredBlueprint
    """The one that was asked for."""
    expressions: Expressions = field(default_factory=Expressions)

    def plan(self, plan: Plan) -> tuple[PlanPolicy, Sequence[PlanProblem]]:
        """Return the decisions about a plan, and every reason not to make it."""
        plan = replace(plan, policy=PlanPolicy(sent=self._sent(plan.blueprint)))
        judged = judge_plan(self.rules, plan, self.asking, self.inventory, self.expressions)
        judged = replace(judged, policy=replace(judged.policy, compliance=self._compliance(plan, judged.policy)))
        external = self.rules.policy.external
        if external is None or judged.refused:
            return judged.policy, judged.problems
        # Loaded where an engine is asked at all: its HTTP client takes memory for nothing elsewhere.
        asking: Any = import_module("pilotage_coordinator.runtime.external_policy")
        answer = asking.ask_external(external, plan, self.asking)
        return self._with_external(judged.policy, answer.decision, answer.reason)

    def _with_external(
        self, policy: PlanPolicy, decision: Decision, reason: str
    ) -> tuple[PlanPolicy, Sequence[PlanProblem]]:
        """Return the decisions with that of the external engine, which counts where it is stricter."""
        if decision is Decision.DENY:
            message = f"the external policy engine denies it: {reason or 'it gives no reason'}"
            return policy, [PlanProblem(FailureKind.POLICY, message, "ask whoever keeps that engine")]
        found = replace(policy, external=decision.value)
        if decision is not Decision.ALLOW:
            found = replace(found, rulings=(Ruling(decision.value, (ENGINE,)), *policy.rulings))
        return found, []

    def _compliance(self, plan: Plan, policy: PlanPolicy) -> Mapping[str, Mapping[str, Json]]:
        """Return the rules of compliance that the plan must keep."""
        rules = self.rules.policy.compliance
        if not rules:
            return {}
        facts = self.facts(replace(plan, approvals=approvals_of_policy(policy)), {})
        return {rule.name: compliance_content(rule) for rule, _ in applying(rules, facts, self.expressions)}

    def facts(self, plan: Plan, proofs: Mapping[str, tuple[Proof, ...]]) -> Facts:
        """Return what is known of a plan; `proofs` are those of its hosts, by id."""
        asking, ref = self.asking, plan.blueprint
        steps = steps_of_plan(plan, self.inventory)
        names = sorted({name for step in steps for name in step.hosts if name in self.inventory})
        hosts = {name: HostFacts(self.inventory[name], proofs.get(self.inventory[name].id, ())) for name in names}
        blueprint = BlueprintFacts.of(self.blueprint.blueprint, ref.digest, stored=not self._sent(ref))
        return Facts(asking.at, blueprint, steps, hosts, asker=asking.asker, change=asking.change)

    def complies(self, plan: Plan, proofs: Mapping[str, tuple[Proof, ...]], version: int) -> Checked:
        """Return what the rules of compliance find; `version` is that of the policy which holds them."""
        rules = [each for each in self.rules.policy.compliance if each.name in plan.policy.compliance]
        findings = check(rules, self.facts(plan, proofs), self.expressions)
        return Checked(version, self.asking.at, findings)

    def reads(self, request: PlanRequest, questions: Questions) -> list[PlanProblem]:
        """Return which of the questions that hosts would be asked for this plan the policy denies."""
        ref = request.blueprint.ref
        sent = self._sent(ref)
        found: list[PlanProblem] = []
        for each in questions.questions:
            subject = Subject(
                self.asking.asker,
                each.step_type,
                Effect.READ,
                blueprint="" if sent else ref.id,
                category="" if sent else request.blueprint.blueprint.category,
            )
            host = self.inventory.get(each.host)
            question = Question(
                subject, self.asking.at, host, each.parameters, self.asking.change, each.path, self.asking.stage
            )
            verdict = self.rules.judge(question, self.expressions)
            if verdict.decision is Decision.DENY:
                found.append(refusal(question, verdict))
        return found

    def _sent(self, ref: BlueprintRef) -> bool:
        """Return whether somebody only sent this blueprint: a stored one of the same name has other content, if any."""
        return self.library.exact(ref) is None
