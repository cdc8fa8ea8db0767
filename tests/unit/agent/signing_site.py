"""A plan that people sign, as an honest coordinator shows it to a host; every part of it can be replaced."""

from dataclasses import replace
from typing import Any

from pilotage_agent.approval.consent import Demands, SignedConsent
from pilotage_agent.messages import Assignment, Effect, SignedApproval, SignedPlan
from pilotage_coordinator.domain.planning.codec import divided
from pilotage_coordinator.domain.planning.planned_values import PlannedValues
from pilotage_coordinator.domain.planning.request import Planned
from pilotage_proto.attempt import AttemptKey, AttemptKind
from pilotage_proto.canonical import canonical, digest_of_bytes
from pilotage_proto.decision import Statement
from pilotage_proto.plan_digest import packed

from tests.unit.planning.fleet import host, plan, step
from tests.unit.service.signing import Signer

HOUR = 3_600 * 1_000_000
NOW = 1_000 * 3_600 * 1_000_000
ANNA, BORIS, MALLORY = Signer("anna"), Signer("boris"), Signer("mallory")
HOSTS = tuple(host(name, vars={"zone": f"z-{name}", "docker_host": "unix:///run/d.sock"}) for name in ("db1", "db2"))
TEXT = """
targets: {hosts: [db1, db2]}
parameters: {keep: {type: integer, default: 7}, word: {type: string, sensitive: true, default: w}}
steps:
  - {id: look, type: discovery.data}
  - id: wipe
    type: backup.prune
    dependencies: [look]
    requires_approval: true
    retry_policy: {max_attempts: 2}
    timeout: 90s
    for_each: "${{ ['a', 'b'] }}"
    parameters:
      path: "/srv/${{ item }}/${{ host.vars.zone }}"
      keep: {daily: "${{ parameters.keep }}", list: [1, true, "x"]}
  - {id: late, dependencies: [look], type: backup.prune, parameters: {path: "${{ steps.look.outputs.path }}"}}
  - {id: note, type: file.write, dependencies: [look], parameters: {path: /note, content: "${{ parameters.word }}"}}
  - {id: never, type: file.write, when: "host.name == 'db2'", parameters: {path: /never, content: x}}
  - {id: run, type: command.run, effect: read, parameters: {argv: [ls]}}
"""
KNOWN: dict[str, dict[str, Any]] = {
    "backup.prune": {"destructive": True, "effect": "once", "distribution": "pilotage", "version": "1.0.0"},
    "command.run": {
        "author_effects": ["read"],
        "effect": "once",
        "distribution": "pilotage",
        "version": "1.0.0",
    },
    "file.write": {"effect": "idempotent", "distribution": "pilotage", "version": "1.0.0"},
    "discovery.data": {"effect": "read", "distribution": "pilotage", "version": "1.0.0"},
}
GATE = "wipe!approval"


def planned(text: str = TEXT) -> Planned:
    return plan(text, *HOSTS)


def line(signer: Signer) -> str:
    return " ".join(signer.line.split()[:2])


class Site:
    """A host that knows Anna and Boris, and a coordinator that has a plan approved for it."""

    def __init__(
        self, made: Planned | None = None, *, execution: str = "exe_1", on: str = "db1", **demands: Any
    ) -> None:
        self.plan = (made or planned()).plan
        self.made = made or planned()
        self.execution = execution
        self.on = on
        self.parts = divided(self.plan)
        self.slices = {name: canonical(each) for name, each in self.parts.slices.items()}
        self.keys = {line(ANNA), line(BORIS)}
        self.demands = Demands(keys=lambda: frozenset(self.keys), **demands)
        self.now = NOW
        self.floor = 0
        self.known = KNOWN
        self.consent = SignedConsent(
            self.demands,
            self.plan.host_ids[on],
            lambda name: self.known.get(name, {}),
            lambda: self.floor,
            lambda: self.now,
        )

    def approval(self, *signers: Signer, gate: str = GATE, number: int = 1, at: int = NOW - 9) -> SignedApproval:
        bare = SignedApproval(gate, number, at, {})
        statement = Statement(bare.id(self.execution), "approve", self.plan.digest)
        return replace(bare, signatures={line(each): each.proof(statement) for each in signers})

    def shown(self, *approvals: SignedApproval) -> SignedPlan:
        return SignedPlan(
            self.execution,
            digest_of_bytes(canonical(self.parts.head)),
            self.slices[self.on],
            packed(digest_of_bytes(each) for each in self.slices.values()),
            approvals or (self.approval(ANNA),),
        )

    def assignment(
        self, path: str = "wipe", item: str = "a", attempt: int = 1, kind: AttemptKind = AttemptKind.RUN, **more: Any
    ) -> Assignment:
        found = step(self.made, path)
        assert found.type is not None
        values = {**found.parameters, **PlannedValues(self.plan.resolved).of(path, self.on, item)}
        usual = {
            "key": AttemptKey(self.execution, path, self.on, item, kind, attempt),
            "epoch": 1,
            "plan_digest": self.plan.digest,
            "step_type": found.type.name,
            "effect": Effect(found.effect),
            "parameters": canonical(values),
            "timeout_ms": found.timeout // 1000,
            "planned_step": canonical(self.parts.steps[path]),
        }
        return Assignment(**{**usual, **more})
