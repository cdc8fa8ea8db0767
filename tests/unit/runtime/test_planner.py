"""The plan maker over the real store (simulated disk): nothing large on the event loop, nothing missing unnoticed."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pilotage_coordinator.domain.compliance.finding import Checked, Outcome
from pilotage_coordinator.domain.fleet import HostInventory, Query, QueryAnswer
from pilotage_coordinator.domain.plan import FailureKind, Json
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.policy.content import policy_content
from pilotage_coordinator.domain.policy.loader import load_policy
from pilotage_coordinator.domain.policy.question import Asker
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.domain.secret_grant import ANYBODY, grant_of
from pilotage_coordinator.fleet.settings import SessionSettings
from pilotage_coordinator.runtime import plan_shelf
from pilotage_coordinator.runtime import planner as module
from pilotage_coordinator.runtime.compliance_record import read_checked
from pilotage_coordinator.runtime.executor import Start
from pilotage_coordinator.runtime.fleet_port import HostUnreachable
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.planner import MOST_PREVIEWS, MOST_QUESTIONS_OF_A_HOST, PlanDrifted, PlanMaker
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.runtime.runs import Runs
from pilotage_coordinator.runtime.secrets import SecretVault
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.store.records import (
    CertificateRecord,
    ComplianceFilter,
    EnrolmentRecord,
    ExecutionChange,
    ExecutionCreation,
    ExecutionInputs,
    ExecutionRecord,
    HostRecord,
    PolicyRecord,
    Progress,
)
from pilotage_coordinator.store.sqlite.inline import SimulatedDisk
from pilotage_coordinator.store.sqlite.store import SqliteStore, open_simulated_store

FAR = 10**18
ANNOUNCED = (
    {"name": "command.run", "distribution": "pilotage", "version": "1.0.0"},
    {"name": "host.look", "effect": "read", "distribution": "pilotage", "version": "1.0.0"},
)


class StoppedClock:
    def now(self) -> int:
        return 1_000_000

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Hosts:
    """A FleetPort that answers as sessions do: every question, but no more at once of one host than a session takes."""

    asked: list[Query] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    most_of_a_host: int = 0

    async def query(self, host: str, query: Query) -> QueryAnswer:
        if self.at_once[host] >= SessionSettings().most_queries:
            raise HostUnreachable(f"{host} has {self.at_once[host]} unanswered queries; ask again later")
        self.asked.append(query)
        self.at_once[host] += 1
        self.most_at_once = max(self.most_at_once, self.at_once.total())
        self.most_of_a_host = max(self.most_of_a_host, self.at_once[host])
        for _ in range(3):
            await asyncio.sleep(0)
        self.at_once[host] -= 1
        return QueryAnswer(ok=True, answer={"changes": [], "complete": True})


@dataclass
class Site:
    store: SqliteStore
    port: Hosts
    vault: SecretVault
    plans: PlanMaker

    async def join(self, name: str, id: str) -> None:
        token = f"token of {id}"
        await self.store.enrolments.create(EnrolmentRecord(token, 0, "anna", FAR, name))
        host = HostRecord(id, name, 1, f"key of {id}")
        await self.store.enrolments.consume(token, host, CertificateRecord(f"serial of {id}", id, 1, FAR), 1)
        inventory = self.plans.inventory
        await inventory.reload(name)
        inventory.set_online(name, True)
        inventory.set_reported(name, HostInventory({}, ANNOUNCED))

    async def make(self, steps: str, *, previews: bool = False, parameters: Mapping[str, Json] | None = None) -> Any:
        text = "pilotage: 1\nworkflows:\n  one:\n    targets: {select: 'true'}\n" + steps
        (blueprint,) = await self.plans.library.read(text, "one.yaml")
        return await self.plans.make(blueprint, "", parameters or {}, "", "anna", previews=previews)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    store = await open_simulated_store(SimulatedDisk(), now=0, new_id=lambda prefix: f"{prefix}_1")
    clock, port = StoppedClock(), Hosts()
    inventory = LiveInventory(store.hosts, clock)
    cipher = StoreCipher(b"k" * 32)
    vault = SecretVault(store.secrets, store.blueprints, cipher, clock)
    plans = PlanMaker(
        store=store.plans,
        audit=store.audit,
        shelf=PlanShelf(store.plans),
        library=Library(store.blueprints, inventory, {}, clock),
        inventory=inventory,
        coordinator_types={},
        port=port,  # type: ignore[arg-type]
        vault=vault,
        cipher=cipher,
        clock=clock,
        sensitive_key=b"s" * 32,
        hosts=store.hosts,
        compliance=store.compliance,
    )
    found = Site(store, port, vault, plans)
    await found.join("h1", "hst_1")
    yield found
    await store.close()


ANNA = Requested(Asker("anna"))
STEP = "    steps: [{id: a, type: command.run, parameters: {argv: [echo]}}]\n"


async def test_a_plan_is_made_stored_read_and_compared_beside_the_loop(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = threading.current_thread()
    called: set[str] = set()

    def elsewhere(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: Any) -> Any:
            assert threading.current_thread() is not here, f"{name} ran on the event loop"
            called.add(name)
            return real(*arguments)

        monkeypatch.setattr(owner, name, call)

    steps = "".join(f"      - {{id: s{n}, type: command.run, parameters: {{argv: [echo]}}}}\n" for n in range(600))
    names = {"make_plan", "to_json", "pins_of", "preview_questions", "named_secrets", "expand", "content_digest"}
    for name in names | {"load_blueprints", "differences"}:
        elsewhere(module, name)
    elsewhere(plan_shelf, "from_json")
    made = await site.make("    steps:\n" + steps, previews=True)
    assert called == names
    site.plans.shelf = PlanShelf(site.store.plans)
    stored = await site.plans.stored(made.plan.digest)
    await site.plans.again(stored, ANNA)
    site.plans.inventory.set_reported("h1", HostInventory({}, ({**ANNOUNCED[0], "version": "2.0.0"},)))
    with pytest.raises(PlanDrifted):
        await site.plans.again(stored, ANNA)
    assert called == names | {"load_blueprints", "differences", "from_json"}


async def test_a_secret_that_does_not_exist_is_told_when_the_plan_is_made(site: Site) -> None:
    steps = """
    parameters: {password: {type: secret, default: "secret://db/password"}}
    steps:
      - id: a
        type: command.run
        parameters: {argv: [x], env: {TOKEN: "secret://token", PASSWORD: "${{ parameters.password }}"}}
      - {id: left_out, when: "host.name == 'h9'", type: command.run, parameters: {argv: ["secret://unused"]}}
      - {id: later, type: command.run, dependencies: [a], parameters: {argv: ["secret://${{ steps.a.status }}"]}}
"""
    with pytest.raises(PlanRefused) as refused:
        await site.make(steps)
    assert {(each.path, each.message, each.fix) for each in refused.value.problems} == {
        ("a", "parameters.env.TOKEN: there is no secret `token`", "pilotage secret set token"),
        ("a", "parameters.env.PASSWORD: there is no secret `db/password`", "pilotage secret set db/password"),
    }
    with pytest.raises(PlanRefused) as refused:
        await site.make(f"{steps}      - {{id: more, type: command.run, parameters: {{argv: ['secret://token']}}}}\n")
    told = [each.message for each in refused.value.problems if "`token`" in each.message]
    assert told == ["parameters.env.TOKEN: there is no secret `token`, as in 1 more place"]
    await site.vault.set("token", b"t", updated_by="anna", grants=(ANYBODY,))
    await site.vault.set("db/password", b"p", updated_by="anna", grants=(ANYBODY,))
    made = await site.make(steps)
    await site.store.secrets.remove("token", 1)
    with pytest.raises(PlanRefused, match="no secret `token`"):
        await site.plans.again(made, ANNA)


async def test_a_secret_that_is_not_granted_is_told_when_the_plan_is_made(site: Site) -> None:
    for number in range(2, 7):
        await site.join(f"h{number}", f"hst_{number}")
    some = grant_of({"hosts": "name=h1|h2"})
    await site.vault.set("token", b"t", updated_by="anna", grants=(some,))
    steps = """
    steps:
      - id: all
        steps:
          - {id: a, when: "host.name != 'h6'", type: command.run, parameters: {argv: [x], env: {T: "secret://token"}}}
      - {id: b, type: command.run, targets: {hosts: [h1]}, parameters: {argv: [x], env: {T: "secret://token"}}}
"""
    with pytest.raises(PlanRefused) as refused:
        await site.make(steps)
    (problem,) = refused.value.problems
    assert (problem.path, problem.kind) == ("all/a", FailureKind.POLICY)
    assert problem.message == (
        "parameters.env.T: secret `token` is not granted to command.run on h3, h4, h5 in a blueprint that is not stored"
    )
    assert "pilotage secret grant token --blueprint ID --step 'command.*'" in problem.fix


async def test_a_secret_of_each_host_is_asked_for_where_it_is_named(site: Site) -> None:
    await site.join("h2", "hst_2")
    for host in ("h1", "h2"):
        await site.vault.set(f"key/{host}", b"t", updated_by="anna", grants=(grant_of({"hosts": f"name={host}"}),))
    step = "id: a, type: command.run, parameters: {argv: [x], env: {T: 'secret://key/NAME'}}"
    assert await site.make(f"    steps: [{{{step.replace('NAME', '${{ host.name }}')}}}]\n")
    with pytest.raises(PlanRefused, match=r"secret `key/h1` is not granted to command.run on h2 in"):
        await site.make(f"    steps: [{{{step.replace('NAME', 'h1')}}}]\n")


async def test_a_grant_names_a_stored_blueprint_and_is_looked_at_again_before_a_start(site: Site) -> None:
    one = grant_of({"blueprints": ["one"]})
    await site.vault.set("token", b"t", updated_by="anna")
    source = """
pilotage: 1
workflows:
  one:
    version: "1.0.0"
    targets: {hosts: [h1]}
    steps: [{id: a, type: command.run, parameters: {argv: [x], env: {T: "secret://token"}}}]
"""
    await site.plans.library.add(source, "one.yaml", added_by="anna")
    with pytest.raises(PlanRefused, match=r"on h1 in blueprint one.*pilotage secret grant token --blueprint one"):
        await site.plans.make("one", "", {}, "", "anna", previews=False)
    await site.store.secrets.grant("token", (one,), (), ())
    made = await site.plans.make("one", "", {}, "", "anna", previews=False)
    await site.store.secrets.grant("token", (), (one,), ())
    with pytest.raises(PlanRefused, match="not granted"):
        await site.plans.again(made, ANNA)


async def test_a_host_is_never_asked_with_a_secret_that_is_not_granted(site: Site) -> None:
    await site.vault.set("token", b"t", updated_by="anna")
    step = 'id: a, type: host.look, at_plan: true, parameters: {key: "secret://token"}'
    with pytest.raises(PlanRefused, match=r"secret token is not granted to host\.look on h1"):
        await site.make(f"    steps: [{{{step}}}]\n")
    assert site.port.asked == []


@pytest.mark.parametrize("asks", ["true", "false"])
async def test_a_plan_that_people_must_approve_has_previews_in_any_case(site: Site, asks: str) -> None:
    step = f"id: a, type: command.run, requires_approval: {asks}, parameters: {{argv: [echo]}}"
    made = await site.make(f"    steps: [{{{step}}}]\n")
    assert list(made.previews) == (["a"] if asks == "true" else [])
    assert (await site.plans.stored(made.plan.digest)).previews == made.previews


async def test_previews_are_asked_few_at_a_time_and_of_large_plans_only_the_first(site: Site) -> None:
    for number in range(2, 12):
        await site.join(f"h{number}", f"hst_{number}")
    items = ", ".join(f"i{number}" for number in range(MOST_PREVIEWS // 10))
    made = await site.make(
        f"""
    parameters: {{items: {{type: list, default: [{items}]}}}}
    steps:
      - id: a
        type: command.run
        for_each: "${{{{ parameters.items }}}}"
        parameters: {{argv: ["${{{{ item }}}}"]}}
""",
        previews=True,
    )
    assert len(site.port.asked) == MOST_PREVIEWS
    assert len(made.previews["a"]) == MOST_PREVIEWS
    assert site.port.most_at_once == 10 * MOST_QUESTIONS_OF_A_HOST
    assert all("unanswered" not in str(row.get("note")) for row in made.previews["a"])
    assert any("previews were asked for the first" in note.message for note in made.notes)
    assert (await site.plans.stored(made.plan.digest)).notes == made.notes


@pytest.mark.parametrize("plans", [1, 12])
async def test_a_host_is_asked_no_more_at_once_than_it_answers(site: Site, plans: int) -> None:
    items = ", ".join(f"i{number}" for number in range(100))
    steps = f"""
    parameters: {{items: {{type: list, default: [{items}]}}}}
    steps:
      - {{id: seen, type: host.look, at_plan: true}}
      - id: a
        type: command.run
        for_each: "${{{{ parameters.items }}}}"
        parameters: {{argv: ["${{{{ item }}}}"]}}
"""
    for made in await asyncio.gather(*(site.make(steps, previews=True) for _ in range(plans))):
        assert [row for row in made.previews["a"] if not row["complete"]] == []
        assert len(made.previews["a"]) == 100
    assert site.port.most_of_a_host <= MOST_QUESTIONS_OF_A_HOST


async def test_few_previews_are_all_asked(site: Site) -> None:
    made = await site.make(STEP, previews=True)
    assert [row["host"] for row in made.previews["a"]] == ["h1"]
    assert made.notes == ()


async def test_a_plan_does_not_start_on_another_machine_of_the_same_name(site: Site) -> None:
    made = await site.make(STEP)
    await site.store.hosts.revoke("hst_1", 2, ())
    await site.join("h1", "hst_2")
    with pytest.raises(PlanDrifted, match=r"host_ids\.h1: was hst_1, is hst_2"):
        await site.plans.again(made, ANNA)


async def test_a_required_backup_is_looked_for_when_the_plan_is_made_and_again_at_the_start(site: Site) -> None:
    steps = f"    requires: {{backup_within: 1h}}\n{STEP}"
    with pytest.raises(PlanRefused, match="it has no good backup, and one within 1h is asked for"):
        await site.make(steps)
    await site.store.executions.create(
        ExecutionCreation(
            ExecutionRecord("exe_1", "b", "1", (await site.make(STEP)).plan.digest, "anna", 0, Progress("running")),
            ExecutionInputs(),
        )
    )

    async def backed_up(version: int, at: int) -> None:
        proof = Proof(ProofKind.BACKUP, True, at, "exe_1", "a")
        change = ExecutionChange("exe_1", version, Progress("running"), proofs=(("h1", proof),))
        await site.store.executions.commit(change)

    await backed_up(0, StoppedClock().now() - 5)
    made = await site.make(steps)
    await site.plans.again(made, ANNA)
    site.plans.clock = Later()
    with pytest.raises(PlanRefused, match="its last good backup is 2h old, more than 1h"):
        await site.plans.again(made, ANNA)
    await backed_up(1, Later().now())
    await site.plans.again(made, ANNA)


class Later(StoppedClock):
    def now(self) -> int:
        return super().now() + 2 * 3_600_000_000


async def test_hosts_are_asked_what_can_be_chosen_with_the_secrets_that_the_question_names(site: Site) -> None:
    text = """
pilotage: 1
workflows:
  one:
    version: "1.0.0"
    targets: {select: 'true'}
    parameters:
      size: {type: string, required: true}
      box:
        type: string
        choices_from: {type: host.look, values: boxes.name, parameters: {token: "secret://token"}}
    steps: [{id: a, type: command.run, parameters: {argv: [echo]}}]
"""
    await site.plans.library.add(text, "one.yaml", added_by="anna")
    found = await site.plans.offers("one", "", "box", {}, "")
    assert found.untold["h1"].startswith("there is no secret 'token'")
    await site.vault.set("token", b"t", updated_by="anna")
    found = await site.plans.offers("one", "1", "box", {}, "")
    assert found.untold["h1"].startswith("secret token is not granted to host.look on h1 in blueprint one")
    await site.store.secrets.grant("token", (grant_of({"blueprints": ["one"]}),), (), ())
    found = await site.plans.offers("one", "1", "box", {}, "")
    assert found.untold == {"h1": "its host.look tells no list `boxes`"}
    (asked,) = site.port.asked
    assert (asked.step_type, asked.parameters, asked.secrets) == (
        "host.look", {"token": "secret://token"}, {"token": b"t"},
    )  # fmt: skip
    with pytest.raises(PlanRefused, match="has no parameter `size`"):
        await site.plans.offers("one", "", "size", {}, "")


RULES = """\
policy: 1
rules: [{name: all, level: global, decision: allow}]
compliance:
  - {name: fresh, enforce: ENFORCE, operations: command.run, require: {backup_within: 1h}}
  - {name: told, enforce: warn, require: {stored: true}}
"""


async def with_rules(site: Site, enforce: str) -> None:
    keeper = site.plans.policy or PolicyKeeper(site.store.policies)
    source = RULES.replace("ENFORCE", enforce)
    await keeper.put(PolicyRecord(keeper.version + 1, source, policy_content(load_policy(source, "p.yaml")), 0, "anna"))
    site.plans.policy = keeper


async def test_a_rule_of_compliance_that_blocks_makes_no_plan_and_the_refusal_is_kept_with_its_evidence(
    site: Site,
) -> None:
    await with_rules(site, "block")
    with pytest.raises(PlanRefused, match="fresh asks for backup_within: no good backup within 1h of h1"):
        await site.make(STEP)
    (kept,) = (await site.store.compliance.find(ComplianceFilter())).rows
    assert (kept.stage, kept.outcome, kept.execution, kept.principal, kept.policy) == ("plan", "blocked", "", "anna", 1)
    checked = read_checked(kept.content)
    assert [(each.rule, each.result) for each in checked.findings] == [("fresh", "failed"), ("told", "failed")]
    assert checked.findings[0].evidence == ({"host": "h1", "result": "failed"},)


async def test_a_rule_that_warns_is_told_beside_the_plan_and_only_the_rules_are_in_its_digest(site: Site) -> None:
    await with_rules(site, "warn")
    made = await site.make(STEP)
    assert sorted(made.plan.policy.compliance) == ["fresh", "told"]
    read = await site.plans.stored(made.plan.digest)
    assert read.compliance == made.compliance
    assert results(read.compliance) == ["failed", "failed"]
    again = await site.plans.again(made, ANNA)
    assert again.compliance is not None
    assert again.compliance.outcome is Outcome.WARNED
    proof = Proof(ProofKind.BACKUP, True, 0, "exe_1", "save")
    site.plans.hosts = Backed(proof)  # type: ignore[assignment]
    again = await site.plans.again(made, ANNA)
    assert again.plan.digest == made.plan.digest
    assert results(again.compliance) == ["passed", "failed"]
    await with_rules_that_block_later(site)
    with pytest.raises(PlanDrifted, match="compliance"):
        await site.plans.again(made, ANNA)


def results(checked: Checked | None) -> list[str]:
    return [each.result.value for each in checked.findings] if checked is not None else []


async def test_what_was_found_is_kept_with_the_execution_that_it_let_begin(site: Site) -> None:
    await with_rules(site, "warn")
    made = await site.make(STEP)
    begun: list[Start] = []

    class Executor:
        async def start(self, start: Start) -> None:
            begun.append(start)

    runs = Runs(Executor(), site.plans, site.vault)  # type: ignore[arg-type]
    about = {"execution_id": "exe_1", "requested_by": "anna", "reason": "", "answer": None, "audit": ()}
    await runs.start(made, **about, requested=ANNA)  # type: ignore[arg-type]
    kept = begun[0].compliance
    assert kept is not None
    assert (kept.execution, kept.stage, kept.outcome, kept.principal) == ("exe_1", "start", "warned", "anna")
    assert kept.plan_digest == made.plan.digest
    assert results(read_checked(kept.content)) == ["failed", "failed"]
    await with_rules(site, "block")
    with pytest.raises((PlanRefused, PlanDrifted)):
        await runs.start(made, **about, requested=ANNA)  # type: ignore[arg-type]
    assert len(begun) == 1


async def with_rules_that_block_later(site: Site) -> None:
    keeper = site.plans.policy
    assert keeper is not None
    source = RULES.replace("ENFORCE", "block")
    await keeper.put(PolicyRecord(2, source, policy_content(load_policy(source, "p.yaml")), 0, "anna"))


@dataclass
class Backed:
    """Hosts of which each has one proof."""

    proof: Proof

    async def proofs(self, hosts: Sequence[str]) -> Mapping[str, tuple[Proof, ...]]:
        return dict.fromkeys(hosts, (self.proof,))

    async def last_passed(self, kind: ProofKind) -> Mapping[str, int]:
        return {}
