"""Policies from text, and questions to them."""

from collections.abc import Mapping
from textwrap import dedent, indent
from typing import Any

from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.inventory import Host
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.question import Asker, Change, Question, Stage, Subject, Verdict

MONDAY_NOON = 1_772_452_800_000_000
"""2026-03-02 12:00 UTC."""
ANN = Asker("ann", "person", frozenset({"owner"}))
BOT = Asker("bot", "assistant")
WEB = Host(id="hst_web1", name="web1", labels={"role": "web", "env": "prod"}, environment="prod")
DB = Host(id="hst_db1", name="db1", labels={"role": "db"})


def ruleset(rules: str, head: str = "") -> Ruleset:
    """Return the rules, written as a list, as a policy that is ready to be asked."""
    body = indent(dedent(rules), "  ")
    return Ruleset(load_policy(f"policy: 1\n{dedent(head)}rules:\n{body}", "policy.yaml"))


def ask(
    rules: Ruleset,
    asker: Asker = ANN,
    operation: str = "container.upgrade",
    host: Host | None = WEB,
    effect: Effect = Effect.ONCE,
    parameters: Mapping[str, Any] | None = None,
    at: int = MONDAY_NOON,
    stage: Stage = Stage.DISPATCH,
    change: Change | None = None,
    **subject: Any,
) -> Verdict:
    """Ask one question."""
    about = Subject(asker, operation, effect, **subject)
    question = Question(about, at, host, parameters or {}, change or Change(), "step", stage)
    return rules.judge(question, Expressions())
