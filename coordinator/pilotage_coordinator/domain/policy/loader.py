"""From a file's text to a policy, or to everything that is wrong with it: a file with an error is refused whole."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.errors import Problems, at_nowhere, did_you_mean
from pilotage_coordinator.domain.blueprint.form.shapes import INVALID, Reading
from pilotage_coordinator.domain.blueprint.position import Path, Position
from pilotage_coordinator.domain.blueprint.reader import read_tree
from pilotage_coordinator.domain.compliance.checking import THAT_NAMES, WHEN_NAMES
from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.evaluation import Expressions
from pilotage_coordinator.domain.policy.fitting import NAMES
from pilotage_coordinator.domain.policy.form import FILE
from pilotage_coordinator.domain.policy.rule import Hours, Policy, Rule, Window

_EMPTY: Final = "a policy starts with `policy: 1` and `rules:`"


def load_policy(text: str, file: str) -> Policy:
    """Return the policy that a file holds. `file` is its name in errors.

    Raises BlueprintError with every problem that was found, each with its line and column. Pure and bounded, as the
    reading of blueprints is; callers with other work run it in a thread.
    """
    if not text.strip():
        raise at_nowhere(file, "the file is empty", _EMPTY)
    problems = Problems(file)
    root = read_tree(text, problems)
    values = FILE.read(root, (), Reading(problems, frozenset()))
    if values is INVALID:
        problems.refuse()
        raise AssertionError("a file was refused without a problem")
    zone = values.get("zone", "UTC")
    windows = {name: _placed_window(each, zone) for name, each in values.get("windows", {}).items()}
    rules = tuple(_settled(each, windows, zone, problems) for each in values["rules"])
    _check_names(values["rules"], problems)
    _check_conditions(values["rules"], problems)
    kept = tuple(values.get("compliance", ()))
    _check_compliance(kept, problems)
    problems.refuse()
    return Policy(rules, values.get("external"), tuple(values.get("tests", ())), tuple(each.rule for each in kept))


def _settled(written: Any, windows: dict[str, Window], zone: str, problems: Problems) -> Rule:
    """Return a rule with the windows that it names, and with the zone of the file where it has none."""
    rule: Rule = written.rule
    return replace(
        rule,
        times=_placed(rule.times, zone),
        windows=_found(written.windows, windows, (*written.path, "windows"), written, problems),
        outside_windows=_found(written.outside, windows, (*written.path, "outside_windows"), written, problems),
    )


def _found(
    names: Iterable[str], windows: dict[str, Window], path: Path, written: Any, problems: Problems
) -> tuple[Window, ...]:
    found: list[Window] = []
    for name in names:
        if name in windows:
            found.append(windows[name])
        else:
            node = written.node.get(str(path[-1])) or written.node
            hint = did_you_mean(name, windows) or "define it under `windows:`"
            problems.add(node.at, path, f"there is no window `{name}`", hint)
    return tuple(found)


def _placed(hours: Iterable[Hours], zone: str) -> tuple[Hours, ...]:
    return tuple(replace(each, zone=each.zone or zone) for each in hours)


def _placed_window(window: Window, zone: str) -> Window:
    return replace(window, hours=_placed(window.hours, zone))


def _check_names(rules: Iterable[Any], problems: Problems) -> None:
    lines: dict[str, int] = {}
    for written in rules:
        name, at = written.rule.name, written.node.get("name").at
        if name in lines:
            message = f"two rules are named `{name}`: here and in line {lines[name]}"
            problems.add(at, (*written.path, "name"), message, "give each a name of its own")
        lines.setdefault(name, at.line)


def _check_conditions(rules: Iterable[Any], problems: Problems) -> None:
    expressions = Expressions()
    for written in rules:
        when = written.rule.when
        if when:
            at, path = written.node.get("when").at, (*written.path, "when")
            _check_condition(when, NAMES, expressions, at, path, problems)


def _check_compliance(rules: Sequence[Any], problems: Problems) -> None:
    _check_names(rules, problems)
    expressions = Expressions()
    for written in rules:
        rule = written.rule
        if rule.when:
            at, path = written.node.get("when").at, (*written.path, "when")
            _check_condition(rule.when, WHEN_NAMES, expressions, at, path, problems)
        for number, condition in enumerate(rule.require.that):
            at, path = written.node.get("require").get("that").at, (*written.path, "require", "that", number)
            _check_condition(condition, THAT_NAMES, expressions, at, path, problems)


def _check_condition(
    condition: str, names: tuple[str, ...], expressions: Expressions, at: Position, path: Path, problems: Problems
) -> None:
    try:
        unknown = sorted(expressions.program(condition).references.roots.difference(names))
    except ExpressionError as error:
        problems.add(at, path, str(error))
        return
    for name in unknown:
        hint = did_you_mean(name, names)
        problems.add(at, path, f"the name `{name}` is not known in this condition", hint)
