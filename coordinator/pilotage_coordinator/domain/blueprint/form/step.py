"""How steps are written: leaf, group, or call of a blueprint."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.features import RESERVED
from pilotage_coordinator.domain.blueprint.form.aliases import ALIASES
from pilotage_coordinator.domain.blueprint.form.retry import RETRY_POLICY
from pilotage_coordinator.domain.blueprint.form.rollout import PRINCIPAL, rollout_record
from pilotage_coordinator.domain.blueprint.form.scalars import (
    ID,
    ID_PATTERN,
    NAME,
    TYPE_PATTERN,
    Condition,
    Duration,
    Flag,
    LoneExpression,
    Matching,
    Number,
    OneOf,
    Text,
    Units,
)
from pilotage_coordinator.domain.blueprint.form.shapes import (
    INVALID,
    Anything,
    Either,
    Field,
    Later,
    ListOf,
    MapOf,
    Reading,
    Record,
)
from pilotage_coordinator.domain.blueprint.form.targets import CAPACITY, LOCKS, TARGETS, WINDOWS
from pilotage_coordinator.domain.blueprint.model import BlueprintCall, OnUnknown, Step, Undo
from pilotage_coordinator.domain.blueprint.nodes import MapNode
from pilotage_coordinator.domain.blueprint.position import NOWHERE, Path
from pilotage_coordinator.domain.blueprint.reader import MOST_NODES
from pilotage_coordinator.domain.blueprint.rollout import Rollout
from pilotage_coordinator.domain.plan import Effect, OnFailure, OnOffline, Place, StepKind
from pilotage_coordinator.domain.values import HOUR, MINUTE, SECOND

MOST_STEPS: Final = 5_000
DEEPEST_GROUP: Final = 4

STEPS: Final = ListOf(Later(lambda: STEP), most=MOST_NODES)
SOME_STEPS: Final = ListOf(Later(lambda: STEP), least=1, most=MOST_NODES)
PARAMETERS: Final = MapOf(Text(255, empty=False), Anything(), extensible=False)
ON_FAILURE: Final = OneOf(tuple(each.value for each in OnFailure), enum=OnFailure)
ON_OFFLINE: Final = OneOf(tuple(each.value for each in OnOffline), enum=OnOffline)

_LEAF_ONLY: Final = frozenset(
    {
        "action",
        "at_plan",
        "effect",
        "offline_deadline",
        "on_offline",
        "on_unknown",
        "place",
        "retry_policy",
        "sensitive_outputs",
        "timeout",
        "undo",
    }
)
_NOT_ON_GROUPS: Final = _LEAF_ONLY | {"parameters"}
_NOT_ON_CALLS: Final = _LEAF_ONLY | {"irreversible", "finally", "rollout", "run_once", "targets"}


def _kind(node: MapNode, path: Path, reading: Reading) -> StepKind | None:
    """Return what kind of step this is by its keys, or None after noting that it is none or several."""
    kinds = {"type": StepKind.LEAF, "steps": StepKind.GROUP, "blueprint": StepKind.CALL}
    written = [key for key in kinds if node.get(key) is not None]
    if len(written) == 1:
        return kinds[written[0]]
    said = f"this one has {' and '.join(written)}" if written else "this one has none of them"
    reading.refuse(node, path, f"a step has one of type, steps and blueprint; {said}")
    return None


def _misplaced(kind: StepKind, node: MapNode, path: Path, reading: Reading) -> bool:
    """Note keys that this kind of step has no use for; return whether there were any."""
    if kind is StepKind.LEAF:
        wrong: frozenset[str] = frozenset({"finally"})
        advice = "`finally` belongs to groups and blueprints"
    elif kind is StepKind.GROUP:
        wrong, advice = _NOT_ON_GROUPS, "write it on the steps inside the group"
    else:
        wrong, advice = _NOT_ON_CALLS, "it belongs to the blueprint that is called; pass it a parameter"
        if node.get("for_each") is not None:
            wrong -= {"rollout"}
    found = False
    for key, _ in node.entries:
        into = FIELDS[key.text].into or key.text if key.text in FIELDS else key.text
        if into in wrong:
            reading.refuse(key, (*path, key.text), f"a {kind} step has no `{key.text}`", advice)
            found = True
    return found


def _resolve_type(given: dict[str, Any], node: MapNode, path: Path, reading: Reading) -> bool:
    """Replace a classic type name and its action by a verb; return whether the type is one."""
    name: str = given["type"]
    parameters = dict(given.get("parameters", {}))
    alias = ALIASES.get(name)
    at = node.get("type") or node
    if alias is None:
        if "." not in name:
            hint = did_you_mean(name, ALIASES) or "step types are written plugin.verb, such as backup.create"
            reading.refuse(at, (*path, "type"), f"`{name}` is no step type", hint)
        elif "action" in given:
            reading.refuse(at, (*path, "action"), "`action` belongs to classic step types; a verb has none")
            return False
        return "." in name
    action = given.pop("action", None)
    if action is None and "action" in parameters:
        action = parameters.pop("action")
    if action is None:
        action = alias.default_action("rollback_plan" in path)
    if not isinstance(action, str) or action not in alias.actions:
        hint = did_you_mean(str(action), alias.actions)
        reading.refuse(at, (*path, "action"), f"`{name}` has no action `{str(action)[:60]}`", hint)
        return False
    verb = alias.actions[action]
    given["type"], given["parameters"] = verb.type, {**verb.defaults, **parameters}
    return True


def _settle_undo(given: dict[str, Any]) -> None:
    undo = given.pop("undo", Undo.AUTO)
    if isinstance(undo, tuple):
        given["undo"], given["undo_steps"] = Undo.STEPS, undo
    else:
        given["undo"] = undo


def _loop_misfit(kind: StepKind, given: Mapping[str, Any]) -> str:
    """Return what is wrong with the loop that is written, or nothing."""
    if "for_each" not in given:
        loose = [each for each in ("key", "max_items") if each in given]
        return f"`{loose[0]}` belongs beside for_each" if loose else ""
    if given.get("at_plan"):
        return "an at_plan step has no for_each: what it finds would not be known when the plan is made"
    rollout = given.get("rollout")
    if rollout is not None and replace(rollout, max_parallel=None, at=NOWHERE) != Rollout():
        return "beside for_each a rollout has max_parallel only; put the step into a group to roll over hosts"
    return ""


def _place_misfit(given: Mapping[str, Any]) -> str:
    """Return what is wrong with where the step runs, or nothing."""
    once = given.get("run_once", False)
    coordinator = given.get("place") is Place.COORDINATOR
    if once and "rollout" in given and "for_each" not in given:
        return "a run_once step has no rollout: it runs on one host"
    if coordinator and once:
        return "a step on the coordinator runs once anyway; remove run_once"
    if coordinator and "targets" in given:
        return "a step on the coordinator has no targets"
    if coordinator and "rollout" in given:
        return "a step on the coordinator has no rollout"
    if given.get("irreversible") and given.get("undo") is Undo.STEPS:
        return "an irreversible step has no undo steps"
    if given.get("approvers") and not given.get("requires_approval"):
        return "`approvers` says who may answer; add `requires_approval: true`, which asks them"
    return ""


def _build(values: Mapping[str, Any], node: MapNode, path: Path, reading: Reading) -> Any:
    reading.steps += 1
    if reading.steps > MOST_STEPS:
        if reading.steps == MOST_STEPS + 1:
            reading.refuse(node, path, f"the file has more than {MOST_STEPS} steps", "loop with for_each, or split it")
        return INVALID
    kind = _kind(node, path, reading)
    if kind is None or _misplaced(kind, node, path, reading):
        return INVALID
    given = dict(values)
    _settle_undo(given)
    if kind is StepKind.LEAF and not _resolve_type(given, node, path, reading):
        return INVALID
    if kind is StepKind.GROUP and not given["steps"]:
        return reading.refuse(node.get("steps") or node, (*path, "steps"), "this group has no steps")
    misfit = _loop_misfit(kind, given) or _place_misfit(given)
    if misfit:
        return reading.refuse(node, path, misfit)
    called = given.pop("blueprint", None)
    step = Step(
        kind=kind,
        finally_=given.pop("finally", ()),
        call=_call(called) if called is not None else None,
        at=node.at,
        path=path,
        **given,
    )
    reading.read.append(step)
    return step


def _call(written: str) -> BlueprintCall:
    name, _, major = written.partition("@")
    return BlueprintCall(name, int(major))


def depth_of_groups(step: Step) -> int:
    """Return how many groups are nested in this step, itself included."""
    inner = max((depth_of_groups(each) for each in step.inner()), default=0)
    return inner + (1 if step.kind is StepKind.GROUP else 0)


_CALL: Final = Matching(
    rf"{ID_PATTERN}@(?:0|[1-9][0-9]{{0,8}})", "called blueprint", "write ID@MAJOR, such as backup@3"
)
_UNDO: Final = Either(
    OneOf((Undo.AUTO.value, Undo.NONE.value), enum=Undo), SOME_STEPS, None, "auto, none, or a list of steps"
)
_EFFECTS: Final = OneOf((Effect.READ.value, Effect.IDEMPOTENT.value, Effect.ONCE.value), enum=Effect)

FIELDS: Final[Mapping[str, Field]] = {
    "id": Field(ID, "Unique in the whole blueprint.", required=True),
    "name": Field(Text(255), "For people."),
    "description": Field(Text(), "For people."),
    "type": Field(Matching(TYPE_PATTERN, "step type", "write plugin.verb"), "A leaf: plugin.verb."),
    "action": Field(Text(63, empty=False), "Which verb a classic type name means."),
    "parameters": Field(PARAMETERS, "Of the step type, or of the blueprint that is called."),
    "steps": Field(STEPS, "A group: its sequence runs host by host."),
    "finally": Field(STEPS, "Of a group: runs however it ended, on each host."),
    "blueprint": Field(_CALL, "Call the newest version of this major: ID@MAJOR."),
    "dependencies": Field(ListOf(ID), "Ids of siblings that must have ended well before."),
    "when": Field(Condition(), "Run only where this holds."),
    "targets": Field(TARGETS, "The hosts; default: the group's, then the blueprint's."),
    "run_once": Field(Flag(), "Once in an execution, on the first host."),
    "place": Field(OneOf(tuple(each.value for each in Place), enum=Place), "Where it runs."),
    "for_each": Field(LoneExpression(), "Run once for each item of this list."),
    "key": Field(Text(empty=False), "The name of an item; default: the item, if it is a text."),
    "max_items": Field(Number(1, 100_000), "Most items."),
    "at_plan": Field(Flag(), "Run when the plan is made, and again at start; effect read only."),
    "rollout": Field(rollout_record(SOME_STEPS), "How the work moves over the hosts."),
    "locks": Field(LOCKS, "Reservations held by this step.", feature="locks"),
    "capacity": Field(CAPACITY, "Shares of the host's capacity.", feature="capacity"),
    "windows": Field(WINDOWS, "When it may start.", feature="windows"),
    "requires_approval": Field(Flag(), "Ask before it starts.", feature="approvals"),
    "approvers": Field(ListOf(PRINCIPAL, least=1), "Who may answer.", feature="approvals"),
    "timeout": Field(Duration(1), "Of one attempt."),
    "timeout_seconds": Field(Units(SECOND, 0.001), "Of one attempt.", into="timeout"),
    "timeout_minutes": Field(Units(MINUTE, 0.001), "Of one attempt.", into="timeout"),
    "timeout_hours": Field(Units(HOUR, 0.001), "Of one attempt.", into="timeout"),
    "deadline": Field(Duration(1), "Of the step, all attempts together."),
    "retry_policy": Field(RETRY_POLICY, "When a failed attempt is tried again."),
    "on_offline": Field(ON_OFFLINE, "When the host is not connected."),
    "offline_deadline": Field(Duration(1), "How long to wait for it."),
    "on_failure": Field(ON_FAILURE, "What a failure of this step does."),
    "irreversible": Field(Flag(), "Named in the plan; rollback leaves it."),
    "undo": Field(_UNDO, "How rollback compensates it."),
    "sensitive_outputs": Field(ListOf(NAME), "Outputs that are never shown."),
    "effect": Field(_EFFECTS, "Only where the type lets the author say."),
    "on_unknown": Field(OneOf(("hold", "fail"), enum=OnUnknown), "When nobody knows how an attempt ended."),
}

STEP: Final[Record] = Record(
    "step",
    FIELDS,
    _build,
    reserved=RESERVED,
    hints={
        "depends_on": "write `dependencies`",
        "needs": "write `dependencies`",
        "if": "write `when`",
        "with": "write `parameters`",
        "loop": "write `for_each`",
        "retry": "write `retry_policy`",
        "retries": "write `retry_policy: {max_attempts: N}`",
        "hosts": "write `targets: {hosts: […]}`",
        "uses": "write `type`",
    },
)
