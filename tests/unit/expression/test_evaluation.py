"""Values of expressions and templates, and errors that name what is missing."""

import os

import pytest
from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.evaluation import LARGEST_RESULT, Expressions
from pilotage_coordinator.domain.expression.late import LateExpressions
from pilotage_coordinator.domain.expression.scope import Scope
from pilotage_coordinator.domain.expression.template import Hole, parse_template

RESULTS = [
    {"host": "a", "status": "failed", "outputs": {}},
    {"host": "b", "status": "succeeded", "outputs": {"bytes": 4, "p.95": 1.5, "name": "x"}},
    {"host": "c", "status": "succeeded", "outputs": {"bytes": 2, "p.95": 2.5, "name": "w"}},
]
SCOPE = {
    "parameters": {"n": 3, "name": "web", "none": None, "on": True, "list": [3, 1, 2], "secret": "secret://x"},
    "host": {"name": "db1", "labels": {"rack": "r1", "a b": "c"}, "vars": {}, "online": True},
    "steps": {"x": {"results": RESULTS}},
}


def value(text: str) -> object:
    return Expressions().evaluate(text, SCOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parameters.n + 1", 4),
        ("host.labels['a b']", "c"),
        ("has(host.vars.x) ? 1 : 2", 2),
        ("get(host, 'labels.rack')", "r1"),
        ("get(host.vars, 'x', [])", []),
        ("get(steps.x.results, '1.outputs.bytes')", 4),
        ("get(steps.x.results, '9.outputs', 'none')", "none"),
        ("get(steps.x.results[1].outputs, 'p.95')", 1.5),
        ("get(parameters.list, 1)", 1),
        ("count(where(steps.x.results, 'status', 'failed'))", 1),
        ("pluck(where(steps.x.results, 'outputs.bytes', '>', 3), 'host')", ["b"]),
        ("pluck(where(steps.x.results, 'host', 'in', ['a', 'c']), 'host')", ["a", "c"]),
        ("pluck(where(steps.x.results, 'status', '!=', 'failed'), 'outputs.bytes')", [4, 2]),
        ("pluck(steps.x.results, 'outputs.bytes', 0)", [0, 4, 2]),
        ("pluck(sort_by(where(steps.x.results, 'status', 'succeeded'), 'outputs.bytes'), 'host')", ["c", "b"]),
        ("sort_by([{'k': 1, 'v': 'a'}, {'k': 2, 'v': 'b'}], 'k', 'desc')[0].v", "b"),
        ("unique([1, 'a', 1, {'x': 1}, {'x': 1}])", [1, "a", {"x": 1}]),
        ("flatten([[1, 2], 3, [[4]]])", [1, 2, 3, [4]]),
        ("first(parameters.list)", 3),
        ("first([], 'none')", "none"),
        ("sum(parameters.list)", 6),
        ("sum([])", 0),
        ("sum([1, 0.5])", 1.5),
        ("min(parameters.list) + max(1, 5)", 6),
        ("max(['a', 'c', 'b'])", "c"),
        ("avg(parameters.list)", 2.0),
        ("quantile([1, 2, 3, 4], 0.5)", 2.5),
        ("quantile([7], 0.95)", 7.0),
        ("range(1, 3)", [1, 2, 3]),
        ("range(1, 0)", []),
        ("join(['a', 1, true], '-')", "a-1-true"),
        ("split('a,b', ',')", ["a", "b"]),
        ("'A,B'.split(',')", ["A", "B"]),
        ("lower('ÄB')", "äb"),
        ("replace_text('a-b-c', '-', '')", "abc"),
        ("default(parameters.none, 'x')", "x"),
        ("default(parameters.n, 'x')", 3),
        ("version('1.10') > version('1.9')", True),
        ("version('v2.0.0') == version('2')", True),
        ("version('1.0-rc1') < version('1.0') && version('1.0-rc2') < version('1.0-rc10')", True),
        ("version('1.0-1') > version('1.0') && version('1:0.1') > version('9.9')", True),
        ("version('1.0~beta1') < version('1.0') && version('2.36-9+deb12u1') < version('2.36-9+deb12u10')", True),
        ("duration('90s')", "1m30s"),
        ("timestamp('2026-01-31T02:00:00Z')", "2026-01-31T02:00:00Z"),
        ("{'b': 1, 'a': {'d': 1, 'c': 2}}", {"a": {"c": 2, "d": 1}, "b": 1}),
        ("'db1'.matches('^db[0-9]+$')", True),
        ("size(steps.x.results)", 3),
        ("true || parameters.nope", True),
    ],
)
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_in_order_whatever_cel_does() -> None:
    for _ in range(20):
        assert list(value("{'d': 1, 'a': 1, 'c': 1, 'b': 1}")) == ["a", "b", "c", "d"]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host.labels.nope", "there is no key `nope` in `host.labels.nope` (ask has(x.nope)"),
        ("nope + 1", "the name `nope` is not known here"),
        ("parameters.n * 1.5", "int and double do not mix"),
        ("'a' + 1", "do not fit together"),
        ("parameters.list[9]", "no such item"),
        ("1 / 0", "divides by zero"),
        ("9223372036854775807 + 1", "too large"),
        ("1.0 / 0.0", "no finite number"),
        ("int('x')", "it has no value"),
        ("get(host, 'nope')", "get(): there is nothing at `nope`; give a fallback"),
        ("get(1)", "get(): wrong number of arguments"),
        ("get(host, 'a', 1, 2)", "too many arguments"),
        ("pluck(steps.x.results, 'outputs.bytes')", "item 0 has nothing at `outputs.bytes`"),
        ("where(steps.x.results, 'host', '~', 1)", "`~` is no operator"),
        ("where(steps.x.results, 'host', '<', 1)", "cannot compare a text < a number"),
        ("where('x', 'y')", "expected a list, not a text"),
        ("sort_by([{'k': 1}, {'k': 'a'}], 'k')", "of several kinds"),
        ("first([])", "the list is empty"),
        ("sum(['a'])", "expected numbers, not a text"),
        ("avg([])", "the list is empty"),
        ("min([true])", "expected numbers, not a boolean"),
        ("quantile([1], 2)", "q is a number from 0.0 to 1.0"),
        ("range(1, 2.5)", "whole numbers"),
        ("range(1, 10001)", "more than 10000 numbers"),
        ("count('abc')", "size() counts letters"),
        ("join([null], '')", "cannot be made of null"),
        ("split('a', '')", "separator is empty"),
        ("version('latest')", "is no version"),
        ("now_in('UTC').hour", "the time is not known here"),
        (f"replace_text('{'a' * 1000}', 'a', '{'b' * 1100}')", "longer than"),
        ("cuont([])", "did you mean `count`?"),
        ("type(1)", "there is no function `type`"),
    ],
)  # fmt: skip
def test_errors(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert words in str(caught.value)


def test_a_refused_function_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExpressionError):
        value("first([])")
    os.write(1, b"")
    assert capfd.readouterr() == ("", "")


def test_a_refused_function_is_not_hidden_by_or() -> None:
    with pytest.raises(ExpressionError, match="the list is empty"):
        value("first([]) == 1 || true")


def test_a_failure_is_forgotten_by_the_next_evaluation() -> None:
    expressions, scope = Expressions(), Scope(SCOPE)
    with pytest.raises(ExpressionError):
        expressions.evaluate("first([])", scope)
    assert expressions.evaluate("first([1])", scope) == 1


def test_a_condition_is_a_boolean() -> None:
    assert Expressions().evaluate_condition("host.online", SCOPE) is True
    with pytest.raises(ExpressionError, match="must be true or false"):
        Expressions().evaluate_condition("parameters.n", SCOPE)


def test_a_result_is_bounded() -> None:
    scope = {"x": "a" * 300_000}
    with pytest.raises(ExpressionError, match=f"larger than {LARGEST_RESULT}"):
        Expressions().evaluate("[x, x, x, x]", scope)


def test_now_in_a_zone() -> None:
    scope = Scope(SCOPE, now=1_769_824_800_000_000)
    expressions = Expressions()
    assert expressions.evaluate("now_in('Europe/Paris')", scope) == {
        "date": "2026-01-31", "time": "03:00", "year": 2026, "month": 1, "day": 31, "hour": 3, "minute": 0,
        "weekday": "saturday",
    }  # fmt: skip
    assert expressions.evaluate("now_in('UTC').time < '02:30'", scope) is True
    with pytest.raises(ExpressionError, match="there is no zone"):
        expressions.evaluate("now_in('Mars/Base')", scope)


def test_names_are_converted_once_and_only_when_used() -> None:
    asked: list[str] = []

    class Watched(dict[str, object]):
        def __getitem__(self, key: str) -> object:
            asked.append(key)
            return super().__getitem__(key)

    scope = Scope(Watched(SCOPE))
    expressions = Expressions()
    for _ in range(3):
        assert expressions.evaluate("parameters.n", scope) == 3
    assert asked == ["parameters"]


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("${{ parameters.n }}", 3),
        ("${{parameters.n}}", 3),
        ("${{ parameters.list }}", [3, 1, 2]),
        ("${{ parameters.none }}", None),
        ("n=${{ parameters.n }} on=${{ parameters.on }}", "n=3 on=true"),
        ("l=${{ parameters.list }}", "l=[3,1,2]"),
        ("{{ parameters.name }}", "web"),
        ("x-{{ parameters.name }}", "x-web"),
        ("{{parameters.name}} {{ .State }}", "{{parameters.name}} {{ .State }}"),
        ("{{ parameters.name}} {{ name }}", "{{ parameters.name}} {{ name }}"),
        ("$${{ parameters.n }}", "${{ parameters.n }}"),
        ("$${{ a }} ${{ parameters.n }}", "${{ a }} 3"),
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("${{ '}}' }}", "}}"),
        ("${{ '}} ' + \"'\" }}x", "}} 'x"),
        ("secret://x/${{ host.name }}", "secret://x/db1"),
    ],
)  # fmt: skip
def test_templates(text: str, rendered: object) -> None:
    found = Expressions().render({"k": [text]}, SCOPE)
    assert found == {"k": [rendered]}


def test_what_an_expression_gives_is_no_template() -> None:
    scope = {"parameters": {"evil": "${{ parameters.secret }}", "secret": "x"}}
    assert Expressions().render("a ${{ parameters.evil }}", scope) == "a ${{ parameters.secret }}"


@pytest.mark.parametrize("text", ["${{ a", "${{ a }", "${{ 'a }}", "x ${{ {'a': 1 }}"])
def test_a_template_without_an_end(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_template(text)


def test_null_has_no_place_inside_a_text() -> None:
    with pytest.raises(ExpressionError, match="null has no place inside a text"):
        Expressions().render("x${{ parameters.none }}", SCOPE)


def test_keys_and_other_values_stay() -> None:
    tree = {"${{ parameters.n }}": [1, None, True, 2.5]}
    assert Expressions().render(tree, SCOPE) == tree


def test_parts_of_a_template() -> None:
    template = parse_template("a ${{ b }} c")
    assert template.parts == ("a ", Hole("b"), " c")
    assert template.lone is None
    assert parse_template("${{ b }}").lone == Hole("b")
    assert parse_template("").parts == ("",)


def test_reading_a_text_takes_linear_time() -> None:
    with pytest.raises(ExpressionError, match="more than 200 expressions"):
        parse_template("${{ a }}" * 10_000)
    assert parse_template("{{ " * 100_000).holes == ()


def test_what_a_tree_and_conditions_refer_to() -> None:
    tree = {"a": ["${{ steps['x'].results }} and ${{ host.name }}", 1, "steps.none"], "b": "{{ parameters.n }}"}
    found = Expressions().references(tree, ("item.ok && now_in('UTC').hour > 1",))
    assert found.paths == {("steps", "x", "results"), ("host", "name"), ("parameters", "n"), ("item", "ok")}
    assert found.functions == {"now_in"}
    assert found == LateExpressions().references(tree, ("item.ok && now_in('UTC').hour > 1",))
