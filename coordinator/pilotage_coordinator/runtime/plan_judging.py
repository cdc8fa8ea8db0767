"""The policy's part in making one plan: its word on what hosts are asked before, and on the plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import BlueprintRef, Effect, Plan, PlanPolicy
from pilotage_coordinator.domain.planning.errors import PlanProblem
from pilotage_coordinator.domain.planning.request import Library, PlanRequest, Questions
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.plan_ruling import judge_plan, refusal
from pilotage_coordinator.domain.policy.question import Question, Subject
from pilotage_coordinator.domain.policy.rule import Decision
from pilotage_coordinator.domain.policy.ruling import Asking


@dataclass(slots=True)
class PlanJudging:
    """One for one plan: plans are made in threads, and neither rules nor expressions are shared among them."""

    rules: Ruleset
    asking: Asking
    inventory: Inventory
    library: Library
    expressions: Expressions = field(default_factory=Expressions)

    def plan(self, plan: Plan) -> tuple[PlanPolicy, Sequence[PlanProblem]]:
        """Return the decisions about a plan, and every reason not to make it."""
        plan = replace(plan, policy=PlanPolicy(sent=self._sent(plan.blueprint)))
        judged = judge_plan(self.rules, plan, self.asking, self.inventory, self.expressions)
        return judged.policy, judged.problems

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
