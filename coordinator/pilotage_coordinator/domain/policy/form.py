"""How a policy is written: the keys of its file, each with what it means, and what is wrong where."""

from collections.abc import Mapping
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.form.rollout import GATE_FIELDS, PRINCIPAL, build_gate
from pilotage_coordinator.domain.blueprint.form.scalars import (
    Condition,
    Duration,
    Flag,
    Matching,
    Number,
    OneOf,
    Text,
)
from pilotage_coordinator.domain.blueprint.form.shapes import (
    INVALID,
    Anything,
    Either,
    Field,
    ListOf,
    MapOf,
    Reading,
    Record,
)
from pilotage_coordinator.domain.blueprint.nodes import MapNode
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.compliance.form import COMPLIANCE_RULE
from pilotage_coordinator.domain.plan import Effect
from pilotage_coordinator.domain.policy.clock import DAYS
from pilotage_coordinator.domain.policy.rule import (
    Case,
    ChangeClass,
    Constraint,
    Decision,
    Demand,
    Escalation,
    External,
    Hours,
    Level,
    Rule,
    Window,
)
from pilotage_coordinator.domain.policy.shapes import (
    NAMES,
    PARAMETER,
    PATTERN,
    ROLE,
    RULE_NAME,
    WINDOW_NAME,
    Minutes,
    Moment,
    One,
    Selector,
    Zone,
    either_list,
)
from pilotage_coordinator.domain.values import MILLISECOND, SECOND

KINDS: Final = ("person", "service", "assistant")
REQUIREMENTS: Final = ("reference", "reason", "class")


def _build_hours(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    start, end = values.get("from", 0), values.get("to", 24 * 60)
    if start == end:
        return reading.refuse(node, path, "`from` and `to` are the same time", "leave both out for whole days")
    days = tuple(sorted({DAYS.index(each) for each in values.get("days", DAYS)}))
    return Hours(days, start % (24 * 60), end, values.get("zone", ""))


HOURS: Final = Record(
    "time of the week",
    {
        "days": Field(either_list(OneOf(DAYS), "days"), "On which days it begins; every day without it."),
        "from": Field(Minutes(), "From this time of day on."),
        "to": Field(Minutes(), "Until this time of day; at or before `from`, on the next day."),
        "zone": Field(Zone(), "Whose wall clock is meant; that of the file without it."),
    },
    _build_hours,
)


_HOURS: Final = Either(None, ListOf(HOURS, least=1, most=100), One(HOURS), "a time of the week, or a list of them")


def _build_constraint(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    if not values:
        return reading.refuse(node, path, "this says nothing of the parameter", "write is, in, like, min or given")
    least, most = values.get("min"), values.get("max")
    if least is not None and most is not None and least > most:
        return reading.refuse(node, path, f"min {least} is above max {most}")
    if "is" in values and values["is"] is None:
        return reading.refuse(node, path, "`is` has no value", "for a parameter that is left out, write given: false")
    return Constraint(
        str(path[-1]),
        is_=values.get("is"),
        one_of=values.get("in", ()),
        none_of=values.get("not_in", ()),
        like=values.get("like", ()),
        unlike=values.get("unlike", ()),
        least=None if least is None else float(least),
        most=None if most is None else float(most),
        given=values.get("given"),
    )


_TEXTS: Final = either_list(Text(longest=1000), "a pattern, or a list of them")
_CONSTRAINT: Final = Record(
    "constraint",
    {
        "is": Field(Anything(), "It is exactly this."),
        "in": Field(ListOf(Anything(), least=1), "It is one of these."),
        "not_in": Field(ListOf(Anything(), least=1), "It is none of these."),
        "like": Field(_TEXTS, "It matches one of these patterns, which know * and ?."),
        "unlike": Field(_TEXTS, "It matches none of these patterns."),
        "min": Field(Number(-(2**53), whole=False), "It is at least this."),
        "max": Field(Number(-(2**53), whole=False), "It is at most this."),
        "given": Field(Flag(), "Whether it must be there, or must not."),
    },
    _build_constraint,
)


def _build_demand(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    gate = build_gate(values, node, path, reading)
    if gate is INVALID:
        return gate
    return Demand(
        gate.required,
        tuple(gate.of),
        gate.timeout,
        gate.on_timeout.value,
        tuple(Escalation(each.after, each.to) for each in gate.escalate),
        gate.comment,
        gate.description,
        gate.strict,
        gate.separation,
    )


_DEMAND: Final = Record("demand for approval", GATE_FIELDS, _build_demand)


def _build_rule(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    given = dict(values)
    given["parameters"] = tuple(given.get("parameters", {}).values())
    windows = {name: given.pop(name, ()) for name in ("windows", "outside_windows")}
    rule = Rule(**given)
    wrong = _inconsistent(rule)
    if wrong:
        return reading.refuse(node, path, *wrong)
    return _RuleAs(rule, windows["windows"], windows["outside_windows"], node, path)


class _RuleAs:
    """A rule as it was written: its windows are names still."""

    def __init__(
        self, rule: Rule, windows: tuple[str, ...], outside: tuple[str, ...], node: MapNode, path: Path
    ) -> None:
        self.rule, self.windows, self.outside, self.node, self.path = rule, windows, outside, node, path


def _inconsistent(rule: Rule) -> tuple[str, str] | None:
    """Return message and hint where the parts of a rule do not go together."""
    who = bool(rule.principals or rule.kinds or rule.roles)
    if rule.level is Level.ROLE and not who:
        return (
            "a rule of the level `role` says whose",
            "add roles, kinds or principals, or write level: global",
        )
    if rule.level is Level.EMERGENCY and rule.expires_at is None:
        return "an emergency rule ends by itself", "add `expires_at:`, a moment such as 2027-03-01T08:00:00Z"
    if rule.approval is not None and rule.decision is not Decision.REQUIRE_APPROVAL:
        return "`approval` stands only beside `decision: require_approval`", "remove it, or change the decision"
    if rule.decision in (Decision.DENY, Decision.DRY_RUN_ONLY) and (rule.max_concurrent or rule.requires):
        what = "max_concurrent" if rule.max_concurrent else "requires"
        return f"`{what}` has no meaning for {rule.decision}: nothing is started by it", "remove it"
    if rule.effective_from is not None and rule.expires_at is not None and rule.effective_from >= rule.expires_at:
        return "it expires before it is in effect", "let `expires_at` come after `effective_from`"
    return None


RULE: Final = Record(
    "rule",
    {
        "name": Field(RULE_NAME, "What every decision calls it by; one of its own.", required=True),
        "description": Field(Text(longest=2000), "What it is for, in a sentence."),
        "level": Field(
            OneOf(tuple(each.value for each in Level), enum=Level),
            "emergency, role or global: the first of them with a rule that matches decides.",
            required=True,
        ),
        "decision": Field(
            OneOf(tuple(each.value for each in Decision), enum=Decision),
            "allow, require_approval, dry_run_only (plan, but do not start) or deny.",
            required=True,
        ),
        "principals": Field(either_list(PRINCIPAL, "principals"), "Only for these."),
        "kinds": Field(either_list(OneOf(KINDS), "kinds of principals"), "Only for persons, services, assistants."),
        "roles": Field(either_list(ROLE, "roles"), "Only for whoever holds one of these."),
        "operations": Field(NAMES, "Only for these step types; backup.* is all that begin so."),
        "effects": Field(
            either_list(OneOf(tuple(each.value for each in Effect), enum=Effect), "effects"),
            "Only for steps with these effects: read changes nothing.",
        ),
        "destructive": Field(Flag(), "Only for steps whose type is destructive, or is not."),
        "irreversible": Field(Flag(), "Only for steps that cannot be undone, or can."),
        "blueprints": Field(NAMES, "Only in runs of these blueprints."),
        "categories": Field(either_list(Text(longest=200, empty=False), "categories"), "Only of these categories."),
        "hosts": Field(Selector(), "Only on these hosts: env=prod,name~db*."),
        "parameters": Field(MapOf(PARAMETER, _CONSTRAINT, extensible=False), "Only with these parameters of the step."),
        "classes": Field(
            either_list(OneOf(tuple(each.value for each in ChangeClass), enum=ChangeClass), "classes of changes"),
            "Only for changes of these classes.",
        ),
        "times": Field(_HOURS, "Only at these times of the week."),
        "windows": Field(either_list(WINDOW_NAME, "windows"), "Only while one of these windows is open."),
        "outside_windows": Field(either_list(WINDOW_NAME, "windows"), "Only while none of these windows is open."),
        "effective_from": Field(Moment(), "Only from then on."),
        "expires_at": Field(Moment(), "Only until then."),
        "when": Field(Condition(), "Only where this holds: CEL over asker, blueprint, step, parameters, host, change."),
        "max_concurrent": Field(Number(1, 10_000), "So many executions that it lets run, at the same time."),
        "requires": Field(either_list(OneOf(REQUIREMENTS), "what is required"), "What a start must give."),
        "approval": Field(_DEMAND, "Who must agree."),
    },
    _build_rule,
)


def _build_case(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return Case(values["name"], values["ask"], values["decision"], values.get("rules"))


def _build_ask(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return dict(values)


_TEXT: Final = Text(longest=1000)
_ASK: Final = Record(
    "question",
    {
        "principal": Field(PRINCIPAL, "Who asks."),
        "kind": Field(OneOf(KINDS), "person, service or assistant."),
        "roles": Field(ListOf(ROLE), "The roles held."),
        "operation": Field(PATTERN, "The step type.", required=True),
        "effect": Field(OneOf(tuple(each.value for each in Effect)), "Its effect; once without it."),
        "destructive": Field(Flag()),
        "irreversible": Field(Flag()),
        "blueprint": Field(_TEXT, "The blueprint's id."),
        "category": Field(_TEXT),
        "host": Field(_TEXT, "The host's name; without it, the coordinator."),
        "labels": Field(MapOf(Text(longest=253), Text(longest=1000)), "The host's labels."),
        "environment": Field(_TEXT, "The host's environment."),
        "vars": Field(Anything(), "The host's variables."),
        "parameters": Field(Anything(), "The step's parameters."),
        "class": Field(OneOf(tuple(each.value for each in ChangeClass)), "The class of the change."),
        "reference": Field(_TEXT),
        "reason": Field(_TEXT),
        "at": Field(Moment(), "When; now without it."),
    },
    _build_ask,
)
CASE: Final = Record(
    "case",
    {
        "name": Field(Text(longest=200, empty=False), "What the case is about.", required=True),
        "ask": Field(_ASK, "The question.", required=True),
        "decision": Field(
            OneOf(tuple(each.value for each in Decision), enum=Decision), "The decision that must come.", required=True
        ),
        "rules": Field(ListOf(RULE_NAME), "The rules that must have made it; [] where none may match."),
    },
    _build_case,
)


def _build_window(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return Window(str(path[-1]), values["hours"])


_WINDOW: Final = Record("window", {"hours": Field(_HOURS, "When it is open.", required=True)}, _build_window)


def _build_external(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return External(values["url"], values.get("timeout", 2 * SECOND))


_EXTERNAL: Final = Record(
    "external engine",
    {
        "url": Field(
            Matching(r"https?://[^\s@]{1,2000}", "URL", "such as http://127.0.0.1:8181/v1/data/pilotage/decision"),
            "Where it answers, in the form of OPA's data API.",
            required=True,
        ),
        "timeout": Field(Duration(100 * MILLISECOND), "How long it may take."),
    },
    _build_external,
)


def _build_file(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    return dict(values)


FILE: Final = Record(
    "policy",
    {
        "policy": Field(Number(1, 1), "The version of this form: 1.", required=True),
        "description": Field(Text(longest=4000), "What this policy is for."),
        "zone": Field(Zone(), "The time zone of all times that name none; UTC without it."),
        "windows": Field(MapOf(WINDOW_NAME, _WINDOW), "Maintenance windows that rules name."),
        "rules": Field(ListOf(RULE, most=2_000), "The rules. What no rule allows is denied.", required=True),
        "external": Field(_EXTERNAL, "A policy engine that is asked too; it can only be stricter."),
        "compliance": Field(
            ListOf(COMPLIANCE_RULE, most=500), "What must be true of a blueprint and its hosts before it runs."
        ),
        "tests": Field(ListOf(CASE, most=2_000), "Questions with the answers that they must get."),
    },
    _build_file,
    hints={"rule": "write `rules:`", "version": "write `policy: 1`"},
)
