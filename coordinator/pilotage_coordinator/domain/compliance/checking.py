"""The check: pure, and each finding says what was looked at. What is not known is said so and never passes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pilotage_coordinator.domain.compliance.facts import Facts, HostFacts, StepFacts
from pilotage_coordinator.domain.compliance.finding import MOST_EVIDENCE, Finding, Result
from pilotage_coordinator.domain.compliance.rule import Approved, ComplianceRule
from pilotage_coordinator.domain.errors import DomainError
from pilotage_coordinator.domain.expression.scope import Evaluator
from pilotage_coordinator.domain.plan import Json
from pilotage_coordinator.domain.planning.selector import parse_selector
from pilotage_coordinator.domain.policy.clock import written
from pilotage_coordinator.domain.policy.patterns import like
from pilotage_coordinator.domain.proof import Proof, ProofKind
from pilotage_coordinator.domain.values import MINUTE, SECOND, write_duration

WHEN_NAMES: Final = ("blueprint", "steps", "asker", "change")
"""What the condition under which a rule applies may name."""
THAT_NAMES: Final = (*WHEN_NAMES, "host")
"""What a condition that must hold may name."""
MOST_AHEAD: Final = 5 * MINUTE
AHEAD: Final = "the time at which it was made lies ahead of the coordinator's clock"
NO_HOSTS: Final = "which hosts it would touch is not known before there is a plan"
SAY_WHICH: Final = "say which hosts with -l, or make a plan"
NO_STEPS: Final = "not all of its steps are known"


def applying(
    rules: Iterable[ComplianceRule], facts: Facts, evaluator: Evaluator
) -> tuple[tuple[ComplianceRule, str], ...]:
    """Return the rules that a run must keep; with each why that is not known for sure, where it is not."""
    found: list[tuple[ComplianceRule, str]] = []
    for rule in rules:
        doubt = _applies(rule, facts, evaluator)
        if doubt is not None:
            found.append((rule, doubt))
    return tuple(found)


def check(rules: Iterable[ComplianceRule], facts: Facts, evaluator: Evaluator) -> tuple[Finding, ...]:
    """Return what the rules that apply find, in their order."""
    found: list[Finding] = []
    for rule, doubt in applying(rules, facts, evaluator):
        checker = _Checker(rule, facts, evaluator)
        if doubt:
            found.append(checker.finding("when", Result.UNKNOWN, f"whether the rule applies is not known: {doubt}"))
        found += checker.findings()
    return tuple(found)


def _applies(rule: ComplianceRule, facts: Facts, evaluator: Evaluator) -> str | None:
    """Return None where a rule has nothing to do with a run; else why that is not known, empty where it is."""
    blueprint, doubts = facts.blueprint, []
    if rule.blueprints and not (blueprint.stored and like(blueprint.id, rule.blueprints)):
        return None
    if rule.categories and blueprint.category not in rule.categories:
        return None
    if rule.operations:
        if any(like(step.type, rule.operations) for step in facts.steps or ()):
            pass
        elif facts.steps is None:
            doubts.append(NO_STEPS)
        else:
            return None
    if rule.hosts:
        if facts.hosts is None:
            doubts.append(NO_HOSTS)
        elif not _hosts(rule, facts, facts.hosts):
            return None
    if rule.when:
        try:
            if not evaluator.evaluate_condition(rule.when, _scope(facts)):
                return None
        except DomainError as error:
            doubts.append(f"its condition has no value: {error}")
    return "; ".join(doubts)


def _hosts(rule: ComplianceRule, facts: Facts, known: Iterable[str]) -> list[str]:
    """Return the hosts that a rule is about, sorted."""
    selector = parse_selector(rule.hosts) if rule.hosts else None
    names = set(known)
    if rule.operations and facts.steps is not None and not facts.whence:
        names &= {name for step in facts.steps if like(step.type, rule.operations) for name in step.hosts}
    chosen = [(facts.hosts or {})[name] for name in names]
    return sorted(each.name for each in chosen if selector is None or selector.matches(each.host))


def _scope(facts: Facts) -> dict[str, object]:
    """Return what conditions see. What is not known is not there, so that a condition which names it has no value."""
    blueprint, scope = facts.blueprint, dict[str, object]()
    scope["blueprint"] = {
        "id": blueprint.id,
        "version": blueprint.version,
        "stored": blueprint.stored,
        "category": blueprint.category,
        "owner": blueprint.owner,
        "documentation": blueprint.documentation,
        "description": blueprint.description,
        "tags": list(blueprint.tags),
        "rollback_actions": blueprint.rollback_actions,
    }
    if facts.steps is not None:
        scope["steps"] = [_step_scope(each) for each in facts.steps]
    if facts.asker is not None:
        asker = facts.asker
        scope["asker"] = {"principal": asker.principal, "kind": asker.kind, "roles": sorted(asker.roles)}
    if facts.change is not None:
        # No more of it: a plan is made before anybody gives a reference or a reason.
        scope["change"] = {"class": facts.change.change_class.value if facts.change.change_class else ""}
    return scope


def _step_scope(step: StepFacts) -> dict[str, object]:
    found: dict[str, object] = {
        "path": step.path,
        "type": step.type,
        "irreversible": step.irreversible,
        "hosts": list(step.hosts),
    }
    if step.effect is not None:
        found["effect"] = step.effect.value
    if step.destructive is not None:
        found["destructive"] = step.destructive
    return found


@dataclass(slots=True)
class _Tally:
    """What was looked at, by result, and how much of it."""

    evidence: dict[Result, list[dict[str, Json]]] = field(default_factory=dict)
    counts: dict[Result, int] = field(default_factory=dict)

    def add(self, result: Result, **what: Json) -> None:
        self.counts[result] = self.counts.get(result, 0) + 1
        rows = self.evidence.setdefault(result, [])
        if len(rows) < MOST_EVIDENCE:
            rows.append({**what, "result": result.value})

    def count(self, result: Result) -> int:
        return self.counts.get(result, 0)

    @property
    def worst(self) -> Result:
        return next((each for each in (Result.FAILED, Result.UNKNOWN) if self.count(each)), Result.PASSED)

    @property
    def rows(self) -> tuple[dict[str, Json], ...]:
        order = (Result.FAILED, Result.UNKNOWN, Result.PASSED)
        return tuple(row for result in order for row in self.evidence.get(result, ()))

    @property
    def left_out(self) -> int:
        return sum(self.counts.values()) - len(self.rows)

    def named(self, result: Result, key: str) -> str:
        names = [str(row[key]) for row in self.evidence.get(result, ())][:5]
        more = self.count(result) - len(names)
        return ", ".join(names) + (f" and {more} more" if more else "")


class _Checker:
    """Looks for everything that one rule asks for."""

    def __init__(self, rule: ComplianceRule, facts: Facts, evaluator: Evaluator) -> None:
        self._rule, self._facts, self._evaluator = rule, facts, evaluator

    def finding(
        self, requirement: str, result: Result, message: str, fix: str = "", tally: _Tally | None = None
    ) -> Finding:
        rows = tally.rows if tally is not None else ()
        left_out = tally.left_out if tally is not None else 0
        rule = self._rule
        fix = "" if result is Result.PASSED else fix
        return Finding(rule.name, rule.enforce, requirement, result, message, fix, rows, left_out)

    def findings(self) -> Iterator[Finding]:
        require = self._rule.require
        if require.stored:
            yield self._stored()
        for name in ("owner", "documentation", "description"):
            if getattr(require, name):
                yield self._said(name)
        if require.rollback_plan:
            yield self._rollback_plan()
        for which in require.approval:
            yield self._approved(which)
        if require.backup_within is not None:
            yield self._proved("backup_within", ProofKind.BACKUP, require.backup_within)
        if require.drill_within is not None:
            yield self._proved("drill_within", ProofKind.DRILL, require.drill_within)
        for condition in require.that:
            yield self._that(condition)

    def _stored(self) -> Finding:
        blueprint, tally = self._facts.blueprint, _Tally()
        if blueprint.stored:
            tally.add(Result.PASSED, blueprint=blueprint.id, version=blueprint.version, digest=blueprint.digest)
            return self.finding("stored", Result.PASSED, f"{blueprint.id}@{blueprint.version} is stored", tally=tally)
        fix = "store it (`pilotage blueprint add FILE`), and run the stored one"
        return self.finding("stored", Result.FAILED, "what is run was only sent, and is no stored blueprint", fix)

    def _said(self, name: str) -> Finding:
        value, tally = str(getattr(self._facts.blueprint, name)).strip(), _Tally()
        if not value:
            fix = f"write `{name}:` in the blueprint, and add it as a new version"
            return self.finding(name, Result.FAILED, f"the blueprint says nothing under `{name}`", fix)
        tally.add(Result.PASSED, **{name: value[:200]})
        return self.finding(name, Result.PASSED, f"{name}: {value[:200]}", tally=tally)

    def _rollback_plan(self) -> Finding:
        count, tally = self._facts.blueprint.rollback_actions, _Tally()
        if not count:
            fix = "write `rollback_plan:` with `actions:`, and add it as a new version"
            message = "the blueprint has no rollback plan with actions"
            return self.finding("rollback_plan", Result.FAILED, message, fix)
        tally.add(Result.PASSED, actions=count)
        message = f"a rollback plan with {count} action{'s' if count != 1 else ''}"
        return self.finding("rollback_plan", Result.PASSED, message, tally=tally)

    def _approved(self, which: Approved) -> Finding:
        name, steps, tally = f"approval ({which})", self._facts.steps, _Tally()
        for step in steps or ():
            concerned = {
                Approved.DESTRUCTIVE: step.destructive,
                Approved.IRREVERSIBLE: step.irreversible,
                Approved.CHANGING: step.changes,
            }[which]
            if not step.main or concerned is False:
                continue
            if step.approval:
                tally.add(Result.PASSED, step=step.path, type=step.type, asked_by=step.approval)
            elif concerned is None:
                tally.add(Result.UNKNOWN, step=step.path, type=step.type, why="no host has this step type")
            elif step.approval is None:
                tally.add(Result.UNKNOWN, step=step.path, type=step.type, why="the policy may ask, for a plan")
            else:
                tally.add(Result.FAILED, step=step.path, type=step.type)
        fix = "let the step ask (`requires_approval: true`), or the blueprint (`approvals:`), or a rule of the policy"
        if tally.worst is Result.FAILED:
            message = f"nobody is asked before {tally.named(Result.FAILED, 'step')}"
            return self.finding(name, Result.FAILED, message, fix, tally)
        if tally.worst is Result.UNKNOWN:
            message = f"not known whether somebody is asked before {tally.named(Result.UNKNOWN, 'step')}"
            return self.finding(name, Result.UNKNOWN, message, fix, tally)
        if steps is None:
            return self.finding(name, Result.UNKNOWN, f"not known: {NO_STEPS}", "make a plan", tally)
        count = tally.count(Result.PASSED)
        message = f"somebody is asked before each of {count} {which} steps" if count else f"there is no {which} step"
        return self.finding(name, Result.PASSED, message, tally=tally)

    def _proved(self, requirement: str, kind: ProofKind, within: int) -> Finding:
        noun, tally = ("good backup" if kind is ProofKind.BACKUP else "passed drill"), _Tally()
        how = write_duration(within)

        def look(host: HostFacts) -> None:
            proof = host.newest(kind)
            if proof is None:
                tally.add(Result.FAILED, host=host.name)
                return
            age = self._facts.at - proof.at
            if age < -MOST_AHEAD:
                tally.add(Result.UNKNOWN, host=host.name, why=AHEAD, **_evidence(proof))
                return
            tally.add(Result.PASSED if age <= within else Result.FAILED, host=host.name, **_evidence(proof))

        unknown = self._each_host(look, tally)
        fix = (
            "back it up first, such as with quick_backup; a failed or partial backup does not count"
            if kind is ProofKind.BACKUP
            else "let a drill restore its backups first, with a step of type restore.drill"
        )
        if tally.worst is Result.FAILED:
            message = f"no {noun} within {how} of {tally.named(Result.FAILED, 'host')}"
            return self.finding(requirement, Result.FAILED, message, fix, tally)
        if unknown or tally.worst is Result.UNKNOWN:
            fix = SAY_WHICH if unknown else fix
            why = unknown or f"of {tally.named(Result.UNKNOWN, 'host')}: {AHEAD}"
            return self.finding(requirement, Result.UNKNOWN, f"not known: {why}", fix, tally)
        count = tally.count(Result.PASSED)
        if not count:
            return self.finding(requirement, Result.PASSED, "no host is touched by what the rule is about")
        ages = [self._facts.at - _at(host, kind) for host in self._about() or ()]
        oldest = write_duration(max(ages) // SECOND * SECOND)
        message = f"{count} of {count} hosts have a {noun} within {how}; the oldest is {oldest} old"
        return self.finding(requirement, Result.PASSED, message, tally=tally)

    def _that(self, condition: str) -> Finding:
        requirement, tally, facts = f"that ({condition})", _Tally(), self._facts
        scope = _scope(facts)

        def ask(scope: dict[str, object], **what: Json) -> None:
            try:
                held = self._evaluator.evaluate_condition(condition, scope)
            except DomainError as error:
                tally.add(Result.UNKNOWN, **what, why=str(error))
                return
            tally.add(Result.PASSED if held else Result.FAILED, **what)

        fix = "see what the rule asks for: `pilotage policy show --source`"
        if "host" not in self._evaluator.references(None, (condition,)).roots:
            ask(scope)
            result = tally.worst
            why = str(tally.rows[0].get("why", ""))
            said = {Result.PASSED: "it holds", Result.FAILED: "it does not hold", Result.UNKNOWN: f"not known: {why}"}
            return self.finding(requirement, result, said[result], fix)
        unknown = self._each_host(lambda host: ask({**scope, "host": host.scope(facts.at)}, host=host.name), tally)
        if tally.worst is Result.FAILED:
            message = f"it does not hold for {tally.named(Result.FAILED, 'host')}"
            return self.finding(requirement, Result.FAILED, message, fix, tally)
        if tally.worst is Result.UNKNOWN or unknown:
            fix = SAY_WHICH if unknown else fix
            why = unknown or f"of {tally.named(Result.UNKNOWN, 'host')}: {tally.evidence[Result.UNKNOWN][0]['why']}"
            return self.finding(requirement, Result.UNKNOWN, f"not known: {why}", fix, tally)
        message = f"it holds for {tally.count(Result.PASSED)} hosts"
        return self.finding(requirement, Result.PASSED, message, tally=tally)

    def _about(self) -> Sequence[HostFacts] | None:
        """Return the hosts that the rule is about; None where they are not known."""
        known = self._facts.hosts
        return None if known is None else [known[name] for name in _hosts(self._rule, self._facts, known)]

    def _each_host(self, look: Callable[[HostFacts], None], tally: _Tally) -> str:
        """Look at each host that the rule is about; return why that were not all, empty where they were."""
        hosts = self._about()
        if hosts is None:
            return NO_HOSTS
        for host in hosts:
            look(host)
        if self._facts.whence and not hosts:
            return f"there are no hosts to look at ({self._facts.whence})"
        return ""


def _at(host: HostFacts, kind: ProofKind) -> int:
    proof = host.newest(kind)
    return proof.at if proof is not None else 0


def _evidence(proof: Proof) -> dict[str, Json]:
    return {"at": written(proof.at), "execution": proof.execution, "step": proof.path, **proof.detail}
