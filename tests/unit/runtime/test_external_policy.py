"""An external engine: what it is told, what its answers mean, and that anything else is a no."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pilotage_coordinator.domain.inventory import Inventory
from pilotage_coordinator.domain.plan import BlueprintRef, Plan, PlannedStep, StepKind, StepTypeUse
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.question import Asker, Change, Stage
from pilotage_coordinator.domain.policy.rule import Decision, External
from pilotage_coordinator.domain.policy.ruling import Asking
from pilotage_coordinator.domain.policy.starting import unmet
from pilotage_coordinator.domain.values import MILLISECOND, SECOND
from pilotage_coordinator.runtime.external_policy import LARGEST_ANSWER, ask_external
from pilotage_coordinator.runtime.plan_judging import PlanJudging

from tests.unit.planning.fleet import THREE, Shelf, stored

STEP = PlannedStep("a", StepKind.LEAF, type=StepTypeUse("command.run"), hosts=("db1",))
MASKED = {"password": {"sensitive": "hmac-sha256:00"}}
PLAN = Plan(BlueprintRef("x", "1.0.0", "sha256:0"), MASKED, ("db1",), (STEP,), category="backup")
ASKING = Asking(Asker("bot", "assistant", frozenset({"b", "a"})), Change(), 1, Stage.START)


@dataclass
class Engine:
    url: str
    answer: Callable[[BaseHTTPRequestHandler], None]
    asked: list[Any] = field(default_factory=list)
    leave: threading.Event = field(default_factory=threading.Event)

    def says(self, value: object, status: int = 200) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Location", self.url)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.answer = answer

    def ask(self, timeout: int = 5 * SECOND) -> tuple[Decision, str]:
        found = ask_external(External(self.url, timeout), PLAN, ASKING)
        return found.decision, found.reason


@pytest.fixture
def engine() -> Iterator[Engine]:
    found: Engine

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            found.answer(self)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Engine(f"http://127.0.0.1:{server.server_port}/v1/data/pilotage/decision", lambda handler: None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.leave.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_told_who_asks_for_what_and_no_secret(engine: Engine) -> None:
    engine.says({"result": True})
    assert engine.ask() == (Decision.ALLOW, "")
    (asked,) = engine.asked
    assert asked["input"] == {
        "stage": "start",
        "asker": {"principal": "bot", "kind": "assistant", "roles": ["a", "b"]},
        "change": {"class": ""},
        "blueprint": {"id": "x", "version": "1.0.0", "digest": "sha256:0", "category": "backup", "stored": True},
        "parameters": MASKED,
        "targets": ["db1"],
        "steps": [
            {
                "path": "a",
                "type": "command.run",
                "effect": "once",
                "destructive": False,
                "irreversible": False,
                "hosts": ["db1"],
            }
        ],
    }


@pytest.mark.parametrize("decision", list(Decision))
def test_its_decisions_are_taken_as_they_are(engine: Engine, decision: Decision) -> None:
    engine.says({"result": {"decision": decision.value, "reasons": ["one", "two"]}})
    assert engine.ask() == (decision, "one; two")


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({"result": False}, 200, ""),
        ({}, 200, "decided nothing"),
        ({"result": None}, 200, "decided nothing"),
        ([True], 200, "decided nothing"),
        ({"result": {"allow": True}}, 200, "none of allow"),
        ({"result": {"decision": ["allow"]}}, 200, "none of allow"),
        (b"yes", 200, "no JSON"),
        (b"[" * 50_000, 200, "no JSON"),
        (b'"' + b"x" * (LARGEST_ANSWER + 1) + b'"', 200, "larger than"),
        ({"result": True}, 500, "it answered 500"),
        ({"result": True}, 302, "it answered 302"),
    ],
)
def test_whatever_is_no_clear_yes_is_a_no(engine: Engine, answer: object, status: int, said: str) -> None:
    engine.says(answer, status)
    decision, reason = engine.ask()
    assert decision is Decision.DENY
    assert said in reason
    assert len(engine.asked) == 1


def test_an_engine_that_is_silent_or_drips_or_is_not_there_denies(engine: Engine) -> None:
    def silent(handler: BaseHTTPRequestHandler) -> None:
        engine.leave.wait(10)

    engine.answer = silent
    decision, reason = engine.ask(100 * MILLISECOND)
    assert (decision, reason.rpartition(": ")[2]) == (Decision.DENY, "nothing came within 100ms")

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not engine.leave.wait(0.02):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    engine.answer = drip
    decision, reason = engine.ask(200 * MILLISECOND)
    assert decision is Decision.DENY
    assert "took too long" in reason
    nobody = ask_external(External("http://127.0.0.1:9/x", SECOND), PLAN, ASKING)
    assert nobody.decision is Decision.DENY
    assert "cannot be reached" in nobody.reason


def judging(engine: Engine, rule: str = "{name: all, level: global, decision: allow}") -> PlanJudging:
    text = f'policy: 1\nexternal: {{url: "{engine.url}"}}\nrules: [{rule}]\n'
    return PlanJudging(
        Ruleset(load_policy(text, "p.yaml")),
        ASKING,
        Inventory(THREE),
        Shelf(),
        stored("steps: [{id: a, type: http.check}]"),
    )


def test_it_can_only_be_stricter_than_the_rules(engine: Engine) -> None:
    engine.says({"result": True})
    policy, problems = judging(engine).plan(PLAN)
    assert ([each.decision for each in policy.rulings], policy.external, problems) == (["allow"], "allow", [])
    engine.says({"result": {"decision": "dry_run_only"}})
    policy, problems = judging(engine).plan(PLAN)
    assert [each.decision for each in policy.rulings] == ["dry_run_only", "allow"]
    (unmet_,) = unmet(Plan(PLAN.blueprint, {}, (), (), policy=policy), Change())
    assert unmet_.message == "the policy lets the whole plan be planned only, by the external engine"
    engine.says({"result": False})
    _, problems = judging(engine).plan(PLAN)
    assert "external policy engine denies it" in problems[0].message
    engine.asked.clear()
    engine.says({"result": True})
    _, problems = judging(engine, "{name: none, level: global, decision: deny}").plan(PLAN)
    assert "deny by none" in problems[0].message
    assert engine.asked == []
