"""Evaluating expressions: compiled once, over a scope, in bounded time, with errors that say what is missing."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import Final

from pilotage_coordinator.domain.expression.errors import ExpressionError, FunctionRefused
from pilotage_coordinator.domain.expression.functions import BUILT_IN, FUNCTIONS, LONGEST_TEXT, written
from pilotage_coordinator.domain.expression.library import cel
from pilotage_coordinator.domain.expression.references import References, references, refuse_version_comparison, union
from pilotage_coordinator.domain.expression.scope import Prepared, Scope
from pilotage_coordinator.domain.expression.syntax import parse
from pilotage_coordinator.domain.expression.template import Template, parse_template, templates
from pilotage_coordinator.domain.values import write_duration

MOST_PROGRAMS: Final = 20_000
"""Compiled expressions kept; more, and all are forgotten: a file holds far fewer."""
LARGEST_RESULT: Final = 1024 * 1024
"""Of one expression: its letters, plus eight for every other value."""
DEEPEST_RESULT: Final = 64


@dataclass(frozen=True, slots=True)
class Program:
    """An expression that was read and compiled."""

    text: str
    references: References
    compiled: cel.Program


def _call(failures: list[str], name: str, function: Callable[..., object], *arguments: object) -> object:
    """Call a function of the language. What it refuses is kept for the evaluation to raise: an exception that goes
    through the CEL library is printed to standard error by it."""
    try:
        return function(*arguments)
    except FunctionRefused as refused:
        failures.append(str(refused))
    except TypeError:
        failures.append(f"{name}(): wrong number of arguments, {len(arguments)}")
    return None


class Expressions:
    """Compiled programs, kept for reuse. Pass one to whatever evaluates; it is not safe for several threads."""

    def __init__(self) -> None:
        self._programs: dict[str, Program] = {}
        self._templates: dict[str, Template] = {}

    def program(self, text: str) -> Program:
        """Return the compiled form of an expression. Raises ExpressionError when it is none."""
        found = self._programs.get(text)
        if found is not None:
            return found
        tree = parse(text)
        used = references(tree)
        for function in sorted(used.functions - BUILT_IN - FUNCTIONS.keys()):
            near = get_close_matches(function, [*BUILT_IN, *FUNCTIONS], n=1)
            hint = f"did you mean `{near[0]}`?" if near else "known: " + " ".join(FUNCTIONS)
            raise ExpressionError(f"there is no function `{function[:40]}`", text, None, hint)
        refuse_version_comparison(tree, text)
        try:
            compiled = cel.compile(text)
        except (ValueError, RuntimeError) as error:
            raise ExpressionError(f"this is no expression: {_first_line(error)}", text) from None
        if len(self._programs) >= MOST_PROGRAMS:
            self._programs.clear()
        program = self._programs[text] = Program(text, used, compiled)
        return program

    def evaluate(self, text: str, scope: Mapping[str, object] | Scope) -> object:
        """Return the value of an expression, as JSON-able values with keys in order.

        Raises ExpressionError for what cannot be read, a name or key that is missing, or kinds that do not fit.
        """
        program = self.program(text)
        where = scope if isinstance(scope, Scope) else Scope(scope)
        for name in sorted(program.references.roots - where.variables.keys()):
            known = ", ".join(sorted(where.variables))
            raise ExpressionError(f"the name `{name}` is not known here", text, None, f"known: {known}")
        prepared = _prepared(where, program.references.roots)
        prepared.failures.clear()
        try:
            value: object = program.compiled.execute(prepared.context)
        except Exception as error:
            raise _failed(error, text, prepared.failures) from None
        if prepared.failures:
            raise ExpressionError(prepared.failures[0], text)
        return _plain(value, text)

    def evaluate_condition(self, text: str, scope: Mapping[str, object] | Scope) -> bool:
        """Return whether a condition holds. Raises ExpressionError, also when its value is no boolean."""
        value = self.evaluate(text, scope)
        if isinstance(value, bool):
            return value
        raise ExpressionError("a condition must be true or false", text, None, f"its value is {str(value)[:60]}")

    def template(self, text: str) -> Template:
        """Return the parts of a text. Raises ExpressionError when one of its expressions has no end."""
        found = self._templates.get(text)
        if found is None:
            if len(self._templates) >= MOST_PROGRAMS:
                self._templates.clear()
            found = self._templates[text] = parse_template(text)
        return found

    def references(self, tree: object, conditions: Iterable[str] = ()) -> References:
        """Return what the expressions in the texts of a tree, and bare conditions, refer to. Raises ExpressionError."""
        found = [self.program(hole).references for text in templates(tree) for hole in self.template(text).holes]
        return union([*found, *(self.program(each).references for each in conditions)])

    def render(self, tree: object, scope: Mapping[str, object] | Scope) -> object:
        """Return `tree` with every expression in its texts replaced by its value; keys stay as they are.

        A text that is one expression and nothing else takes the expression's value, of whatever kind. What an
        expression gives is never read as a template again. Raises ExpressionError.
        """
        where = scope if isinstance(scope, Scope) else Scope(scope)
        match tree:
            case str():
                return self._render_text(tree, where)
            case list() | tuple():
                return [self.render(each, where) for each in tree]
            case Mapping():
                return {key: self.render(value, where) for key, value in tree.items()}
        return tree

    def _render_text(self, text: str, scope: Scope) -> object:
        template = self.template(text)
        if template.lone is not None:
            return self.evaluate(template.lone.expression, scope)
        parts: list[str] = []
        for part in template.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            value = self.evaluate(part.expression, scope)
            if value is None:
                hint = "use default(x, 'none')"
                raise ExpressionError("null has no place inside a text", part.expression, None, hint)
            parts.append(written(value))
        if sum(map(len, parts)) > LONGEST_TEXT:
            raise ExpressionError(f"the text would be longer than {LONGEST_TEXT} characters", text)
        return "".join(parts)


def _prepared(scope: Scope, roots: frozenset[str]) -> Prepared:
    """Return the scope as CEL takes it, with these names in it; each is converted once."""
    if scope.prepared is None:
        failures: list[str] = []
        functions = {name: _guarded(failures, name, function, scope.now) for name, function in FUNCTIONS.items()}
        scope.prepared = Prepared(cel.Context({}, functions), failures=failures)
    for name in roots - scope.prepared.converted:
        scope.prepared.context.add_variable(name, scope.variables[name])
        scope.prepared.converted.add(name)
    return scope.prepared


def _guarded(failures: list[str], name: str, function: Callable[..., object], now: int | None) -> Callable[..., object]:
    return partial(_call, failures, name, partial(function, now=now) if name == "now_in" else function)


def _failed(error: Exception, text: str, failures: list[str]) -> ExpressionError:
    """Return what an error of the CEL library means to an author."""
    if failures:
        return ExpressionError(failures[0], text)
    if isinstance(error, KeyError):
        key = error.args[0] if error.args else "?"
        return ExpressionError(
            f"there is no key `{key}`", text, None, f"ask has(x.{key}), or use get(x, '{key}', fallback)"
        )
    if isinstance(error, IndexError):
        return ExpressionError("the list has no such item", text, None, "use get(list, '0', fallback)")
    if isinstance(error, ZeroDivisionError):
        return ExpressionError("it divides by zero", text)
    if isinstance(error, OverflowError):
        return ExpressionError("a number is too large", text)
    if isinstance(error, TypeError):
        hint = "int and double do not mix: write double(x); a text and a number neither: write string(x)"
        return ExpressionError("these kinds of values do not fit together", text, None, hint)
    return ExpressionError(f"it has no value: {_first_line(error)}", text)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _plain(value: object, text: str) -> object:
    budget = [LARGEST_RESULT]
    return _plain_value(value, text, budget, 0)


def _plain_value(value: object, text: str, budget: list[int], depth: int) -> object:
    budget[0] -= len(value) if isinstance(value, str) else 8
    if budget[0] < 0:
        raise ExpressionError(f"its value is larger than {LARGEST_RESULT} bytes", text)
    if depth > DEEPEST_RESULT:
        raise ExpressionError(f"its value nests deeper than {DEEPEST_RESULT}", text)
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise ExpressionError("its value is no finite number", text)
            return value
        case list() | tuple():
            return [_plain_value(each, text, budget, depth + 1) for each in value]
        case dict():
            for key in value:
                if not isinstance(key, str):
                    raise ExpressionError(f"a key of its value is no text: {key!r}", text)
                budget[0] -= len(key)
            return {key: _plain_value(value[key], text, budget, depth + 1) for key in sorted(value)}
        case timedelta():
            return write_duration(round(value.total_seconds() * 1_000_000))
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
    raise ExpressionError(f"its value is a {type(value).__name__}, which is no JSON", text)
