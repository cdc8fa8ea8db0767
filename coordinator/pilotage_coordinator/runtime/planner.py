"""Plans with the hosts' help: asks what a plan must know, stores what came of it, and plans again before a start."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from pilotage_coordinator.domain.blueprint.expand import content_digest, expand
from pilotage_coordinator.domain.blueprint.loader import load_blueprints
from pilotage_coordinator.domain.blueprint.model import Blueprint
from pilotage_coordinator.domain.compliance.finding import Checked, Outcome, blocking
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.execution.index import index_plan
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.fleet import Query, QueryAnswer, QueryPurpose
from pilotage_coordinator.domain.plan import BlueprintRef, FailureKind, Json, Plan, PlanPolicy
from pilotage_coordinator.domain.planning.codec import to_json
from pilotage_coordinator.domain.planning.difference import differences
from pilotage_coordinator.domain.planning.errors import PlanRefused
from pilotage_coordinator.domain.planning.offers import Offers
from pilotage_coordinator.domain.planning.pins import pins_of
from pilotage_coordinator.domain.planning.planner import ask_for_offers, make_plan
from pilotage_coordinator.domain.planning.previews import PreviewQuestion, preview_questions
from pilotage_coordinator.domain.planning.request import (
    Note,
    Pins,
    Planned,
    PlanRequest,
    Question,
    Questions,
    ReadAnswer,
    ReadKey,
    StoredBlueprint,
    World,
)
from pilotage_coordinator.domain.planning.secrets import (
    missing_secrets,
    named_secrets,
    ungranted_secrets,
)
from pilotage_coordinator.domain.policy.judging import Ruleset
from pilotage_coordinator.domain.policy.question import Asker, Stage
from pilotage_coordinator.domain.policy.request import Requested
from pilotage_coordinator.domain.policy.rule import ChangeClass
from pilotage_coordinator.domain.policy.ruling import Asking
from pilotage_coordinator.domain.proof import ProofKind
from pilotage_coordinator.domain.secret_places import misplaced, refusal, resolved_names
from pilotage_coordinator.domain.step_type import StepTypeInfo
from pilotage_coordinator.runtime.beside import few_at_a_time
from pilotage_coordinator.runtime.clock import Clock
from pilotage_coordinator.runtime.compliance_record import checked_content, checked_record, read_checked
from pilotage_coordinator.runtime.fleet_port import FleetPort, HostUnreachable
from pilotage_coordinator.runtime.inventory import LiveInventory
from pilotage_coordinator.runtime.library import Library
from pilotage_coordinator.runtime.plan_judging import PlanJudging
from pilotage_coordinator.runtime.plan_shelf import PlanShelf
from pilotage_coordinator.runtime.policy import PolicyKeeper
from pilotage_coordinator.runtime.secrets import SecretUse, SecretVault
from pilotage_coordinator.security.secrets import StoreCipher
from pilotage_coordinator.store.protocol import AuditStore, ComplianceStore, HostStore, PlanStore
from pilotage_coordinator.store.records import AuditEntry, PlanRecord

MOST_ROUNDS = 20
"""Rounds of questions that one plan may take; each step that depends on another's answer takes one more."""
MOST_QUESTIONS_AT_ONCE = 200
MOST_QUESTIONS_OF_A_HOST = 8
"""At the same time, by all plans together. Each takes a worker there; an agent answers no more at once, and a question
that waited for its turn there would run out of time."""
MOST_PREVIEWS = 2_000
"""Step runs of one plan that are previewed: people read no more, and hosts have other work."""

Previews = Mapping[str, Sequence[Mapping[str, Json]]]


class PlanDrifted(DomainError):
    """What was planned is not what would happen now."""


@dataclass(frozen=True, slots=True)
class MadePlan:
    """A plan as it is stored, and what planning it again needs."""

    planned: Planned
    request: PlanRequest
    made_at: int
    previews: Previews = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """Return the plan itself."""
        return self.planned.plan

    @property
    def change_class(self) -> ChangeClass | None:
        """Return the class of change with which it was made."""
        return ChangeClass(self.request.change_class) if self.request.change_class else None

    @property
    def compliance(self) -> Checked | None:
        """Return what the rules of compliance found when it was made; None where there were none."""
        return self.planned.compliance

    @property
    def notes(self) -> Sequence[Note]:
        """Return what people should know before they say yes."""
        return self.planned.notes


@dataclass(slots=True)
class PlanMaker:
    """Makes plans over the live inventory."""

    store: PlanStore
    audit: AuditStore
    shelf: PlanShelf
    library: Library
    inventory: LiveInventory
    coordinator_types: Mapping[str, StepTypeInfo]
    port: FleetPort
    vault: SecretVault
    cipher: StoreCipher
    clock: Clock
    sensitive_key: bytes
    hosts: HostStore
    compliance: ComplianceStore
    channels: Collection[str] = ()
    """Names of the channels that notifications may go to."""
    policy: PolicyKeeper | None = None
    _turns: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    """Host to the turns in which it is asked."""

    async def make(
        self,
        blueprint: str | Blueprint,
        version: str,
        parameters: Mapping[str, Json],
        limit_to: str,
        requested_by: str,
        *,
        previews: bool,
        within: Callable[[Iterable[str]], None] | None = None,
        audit: tuple[AuditEntry, ...] = (),
        requested: Requested | None = None,
    ) -> MadePlan:
        """Plan a stored blueprint by id, or one that was only read; stores the plan under its digest.

        `within` is told the names of hosts before any is asked anything, and may raise. A plan that somebody must
        approve has `previews` in any case: they are what people decide by.
        """
        if isinstance(blueprint, str):
            stored = await self.library.get(blueprint, version)
        else:
            stored = StoredBlueprint(
                BlueprintRef(blueprint.id, blueprint.version, await asyncio.to_thread(content_digest, blueprint)),
                blueprint,
            )
        who = requested or Requested(Asker(requested_by))
        change_class = who.change.change_class
        request = PlanRequest(
            stored,
            parameters,
            limit_to,
            seed=f"{requested_by}/{self.clock.now()}",
            change_class=change_class.value if change_class is not None else "",
        )
        planned = await self._plan(request, who, Stage.PLAN, within)
        pins = await asyncio.to_thread(pins_of, planned.plan)
        made = MadePlan(planned, replace(request, pins=pins), self.clock.now())
        if previews or (await asyncio.to_thread(index_plan, made.plan)).asks:
            made = await self._with_previews(made)
        await self.store.put(await asyncio.to_thread(self._record, made))
        self.shelf.keep(planned.plan)
        if audit:
            await self.audit.append(*audit)
        return made

    async def offers(
        self,
        blueprint: str,
        version: str,
        name: str,
        parameters: Mapping[str, Json],
        limit_to: str,
        within: Callable[[Iterable[str]], None] | None = None,
        requested: Requested | None = None,
    ) -> Offers:
        """Ask the hosts what can be chosen for a parameter of a stored blueprint; raises PlanRefused, store.NotFound.

        `parameters` are the values so far; they decide, with `limit_to`, which hosts are asked. `within` is told their
        names first, and may raise.
        """
        request = PlanRequest(await self.library.get(blueprint, version), parameters, limit_to)
        asking = await asyncio.to_thread(ask_for_offers, request, await self._world(), name)
        if within is not None:
            within({question.host for question in asking.questions})
        questions = Questions(asking.questions)
        judging = self._judging(request.blueprint, requested or Requested(Asker("")), Stage.PLAN)
        if judging is not None and (refused := judging.reads(request, questions)):
            raise PlanRefused(refused)
        return asking.offers(await self._ask(questions, request.blueprint))

    async def stored(self, digest: str) -> MadePlan:
        """Return a plan that was made before; raises store.NotFound."""
        record = await self.store.get(digest)
        plan = await self.shelf.read(digest, record.content)
        row: Mapping[str, Any] = record.view
        request = await self._read_request(plan, row)
        notes = tuple(Note(each["message"], each["path"], each["host"]) for each in row["notes"])
        kept = row.get("compliance")
        checked = None if kept is None else read_checked(kept)
        planned = Planned(plan, notes=notes, compliance=checked)
        return MadePlan(planned, request, record.created_at, row["previews"])

    async def again(self, made: MadePlan, requested: Requested) -> Planned:
        """Plan once more for whoever starts it, with fresh answers.

        Raises PlanDrifted when something else would happen now, or the policy decides otherwise.
        """
        fresh = await self._plan(made.request, requested, Stage.START)
        if fresh.plan.digest != made.plan.digest:
            lines = await asyncio.to_thread(differences, made.plan, fresh.plan)
            changed = "\n".join(f"  {line}" for line in lines)
            raise PlanDrifted(
                f"the plan of {made.plan.blueprint} no longer holds, and nothing was started; what changed:\n"
                f"{changed}\nmake a new plan, look at it, and start that one"
            )
        return fresh

    async def judged(self, made: MadePlan, requested: Requested) -> PlanPolicy:
        """Return what the policy decides about a plan as it stands, for whoever takes up its execution again.

        Asks no host. Raises PlanRefused where the policy, the external engine or a rule of compliance forbids it.
        """
        judging = self._judging(made.request.blueprint, requested, Stage.START)
        if judging is None:
            return PlanPolicy()
        found, problems = await asyncio.to_thread(judging.plan, made.plan)
        if problems:
            raise PlanRefused(problems)
        await self._complying(Planned(replace(made.plan, policy=found)), judging)
        return found

    async def _world(self) -> World:
        return World(
            inventory=self.inventory.snapshot(),
            library=self.library,
            step_types=self.coordinator_types,
            expressions=Expressions(),
            sensitive_key=self.sensitive_key,
            last_backups=await self.hosts.last_passed(ProofKind.BACKUP),
            now=self.clock.now(),
            channels=self.channels,
        )

    async def _plan(
        self,
        request: PlanRequest,
        requested: Requested,
        stage: Stage,
        within: Callable[[Iterable[str]], None] | None = None,
    ) -> Planned:
        judging = self._judging(request.blueprint, requested, stage)
        world = replace(await self._world(), judge=judging.plan if judging is not None else None)
        answers: dict[ReadKey, ReadAnswer] = {}
        for _ in range(MOST_ROUNDS):
            outcome = await asyncio.to_thread(make_plan, request, replace(world, answers=dict(answers)))
            if within is not None:
                within(_touched(outcome))
            if isinstance(outcome, Planned):
                await self._require_secrets(outcome.plan)
                return outcome if judging is None else await self._complying(outcome, judging)
            if judging is not None and (refused := judging.reads(request, outcome)):
                raise PlanRefused(refused)
            answers.update(await self._ask(outcome, request.blueprint))
        raise DomainError(
            f"{request.blueprint.ref}: after {MOST_ROUNDS} rounds of questions there is still no plan; "
            "make fewer steps with `at_plan` depend on each other"
        )

    async def _complying(self, planned: Planned, judging: PlanJudging) -> Planned:
        """Return the plan with what the rules of compliance found; raises PlanRefused where one of them blocks it."""
        if self.policy is None or not judging.rules.policy.compliance:
            return planned
        plan, version = planned.plan, self.policy.version
        ids = sorted(plan.host_ids.values()) if plan.policy.compliance else []
        proofs = await self.hosts.proofs(ids)
        checked = await asyncio.to_thread(judging.complies, plan, proofs, version)
        if checked.outcome is Outcome.BLOCKED:
            await self.compliance.add(checked_record(checked, plan, judging.asking))
            raise PlanRefused(list(blocking(checked)))
        return replace(planned, compliance=checked)

    def _judging(self, blueprint: StoredBlueprint, requested: Requested, stage: Stage) -> PlanJudging | None:
        policy = self.policy.policy if self.policy is not None else None
        if policy is None:
            return None
        asking = Asking(requested.asker, requested.change, self.clock.now(), stage)
        return PlanJudging(Ruleset(policy), asking, self.inventory.snapshot(), self.library, blueprint)

    async def _ask(self, questions: Questions, planned: StoredBlueprint) -> Mapping[ReadKey, ReadAnswer]:
        answers: dict[ReadKey, ReadAnswer] = {}

        async def ask(question: Question) -> None:
            answer = await self._query(QueryPurpose.READ, question, planned)
            answers[question.key] = ReadAnswer(answer.answer, answer.error, answer.failure_kind)

        await _ask_all(questions.questions, ask)
        return answers

    async def _require_secrets(self, plan: Plan) -> None:
        """Raise PlanRefused when a step names a secret that does not exist, or that is not granted to it."""
        namings = await asyncio.to_thread(named_secrets, plan)
        if not namings:
            return
        grants = {name: await self.vault.grants(name) for name in namings}
        if missing := {name: where for name, where in namings.items() if grants[name] is None}:
            raise PlanRefused(missing_secrets(missing))
        user = await self.vault.user(SecretUse(plan.blueprint, plan.category, ""))
        given = {name: each for name, each in grants.items() if each is not None}
        hosts = self.inventory.snapshot()
        if problems := await asyncio.to_thread(ungranted_secrets, plan, namings, given, user, hosts):
            raise PlanRefused(problems)

    async def _with_previews(self, made: MadePlan) -> MadePlan:
        """Ask the hosts what would change on them; of very large plans, only for the first steps."""
        questions = await asyncio.to_thread(_first_questions, made.plan)
        found: dict[str, list[Mapping[str, Json]]] = {}

        async def ask(question: PreviewQuestion) -> None:
            path, host, item = question.key
            if not self.inventory.online(host):
                return
            answer = await self._query(QueryPurpose.PREVIEW, question, made.request.blueprint)
            shown: Mapping[str, Json] = answer.answer if answer.ok else {"complete": False, "note": answer.error}
            found.setdefault(path, []).append({**shown, "host": host, "item": item})

        await _ask_all(questions[:MOST_PREVIEWS], ask)
        previews = {path: sorted(each, key=lambda row: (row["host"], row["item"])) for path, each in found.items()}
        if len(questions) <= MOST_PREVIEWS:
            return replace(made, previews=previews)
        note = Note(
            f"previews were asked for the first {MOST_PREVIEWS} step runs only; what is not shown is planned too"
        )
        planned = replace(made.planned, notes=(*made.planned.notes, note))
        return replace(made, planned=planned, previews=previews)

    async def _query(
        self, purpose: QueryPurpose, question: Question | PreviewQuestion, planned: StoredBlueprint
    ) -> QueryAnswer:
        try:
            host = self.inventory.get(question.host)
            info = host.step_types.get(question.step_type) if host else None
            schema = info.params_schema if info else {}
            if places := misplaced(question.parameters, schema):
                raise DomainError(f"{places[0]}: {'; '.join(refusal(question.step_type, schema))}")
            names = resolved_names(question.parameters, schema)
            use = SecretUse(planned.ref, planned.blueprint.category, question.step_type, host)
            secrets = {name: await self.vault.reveal(name, use) for name in sorted(names)}
            query = Query(
                purpose,
                question.step_type,
                question.parameters,
                question.timeout,
                secrets,
                host.vars if host else {},
            )
            turns = self._turns.setdefault(question.host, asyncio.Semaphore(MOST_QUESTIONS_OF_A_HOST))
            async with turns:
                return await self.port.query(question.host, query)
        except HostUnreachable as error:
            return QueryAnswer(ok=False, failure_kind=FailureKind.TARGET, error=str(error))
        except DomainError as error:
            return QueryAnswer(ok=False, failure_kind=FailureKind.PARAMETER, error=str(error))

    def _record(self, made: MadePlan) -> PlanRecord:
        return PlanRecord(made.plan.digest, to_json(made.plan), self._write(made), made.made_at)

    def _write(self, made: MadePlan) -> Mapping[str, Json]:
        """Return what is kept beside the plan: notes and previews in clear, the request (it may hold secrets) not."""
        request, pins = made.request, made.request.pins
        body = json.dumps(
            {
                "source": expand(request.blueprint.blueprint),
                "parameters": request.parameters,
                "limit_to": request.limit_to,
                "seed": request.seed,
                "class": request.change_class,
                "hosts": dict(pins.hosts),
                "blueprints": {path: [ref.id, ref.version, ref.digest] for path, ref in pins.blueprints.items()},
                "unanswered": sorted(pins.unanswered),
            }
        ).encode()
        sealed = self.cipher.encrypt(body, "plans", made.plan.digest, "request")
        return {
            "request": b64encode(sealed).decode(),
            "notes": [{"message": note.message, "path": note.path, "host": note.host} for note in made.notes],
            "previews": made.previews,
            "compliance": None if made.compliance is None else checked_content(made.compliance),
        }

    async def _read_request(self, plan: Plan, row: Mapping[str, Any]) -> PlanRequest:
        return await asyncio.to_thread(self._unseal_request, plan, row)

    def _unseal_request(self, plan: Plan, row: Mapping[str, Any]) -> PlanRequest:
        ref = plan.blueprint
        body = self.cipher.decrypt(b64decode(row["request"]), "plans", plan.digest, "request")
        kept = json.loads(body)
        (blueprint,) = load_blueprints(kept["source"], str(ref))
        pins = Pins(
            hosts=kept["hosts"],
            blueprints={path: BlueprintRef(*parts) for path, parts in kept["blueprints"].items()},
            unanswered=frozenset((path, host) for path, host in kept["unanswered"]),
        )
        stored = StoredBlueprint(ref, blueprint)
        return PlanRequest(stored, kept["parameters"], kept["limit_to"], kept["seed"], kept.get("class", ""), pins)


_Asked = TypeVar("_Asked", Question, PreviewQuestion)


async def _ask_all(questions: Sequence[_Asked], ask: Callable[[_Asked], Awaitable[None]]) -> None:
    """Ask the hosts side by side, each as much as it answers at once."""
    await few_at_a_time(
        questions,
        ask,
        MOST_QUESTIONS_AT_ONCE,
        whose=lambda question: question.host,
        most_each=MOST_QUESTIONS_OF_A_HOST,
    )


def _first_questions(plan: Plan) -> list[PreviewQuestion]:
    """Return the previews to ask for, and one more if that is not all."""
    return list(islice(preview_questions(plan), MOST_PREVIEWS + 1))


def _touched(outcome: Planned | Questions) -> set[str]:
    """Return the names of the hosts that a plan touches, or that would be asked on the way to it."""
    if isinstance(outcome, Planned):
        return {*outcome.plan.host_ids, *outcome.plan.targets}
    return {question.host for question in outcome.questions}
