"""The grammar before CEL: what it accepts CEL accepts, what it refuses nothing evaluates."""

import contextlib

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.references import references
from pilotage_coordinator.domain.expression.syntax import DEEPEST_EXPRESSION, MACROS, MOST_ADDITIONS, parse


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("a.b.c", {("a", "b", "c")}),
        ("a['b'].c", {("a", "b", "c")}),
        ("a[0].c", {("a",)}),
        ("a[b.c].d", {("a",), ("b", "c")}),
        ("hosts[parameters.lost].online", {("hosts",), ("parameters", "lost")}),
        ("has(a.b) && f(c.d, [e], {'k': g.h})", {("a", "b"), ("c", "d"), ("e",), ("g", "h")}),
        ("a ? b : c.d", {("a",), ("b",), ("c", "d")}),
        ("a.size() + b.c.startsWith(d)", {("a",), ("b", "c"), ("d",)}),
        ("'a.b' + \"c\" + r'\\d'", set()),
        ("!a.b && -c > 1.5e3", {("a", "b"), ("c",)}),
        ("a in [b, 'c']", {("a",), ("b",)}),
        ("f(x).y[z]", {("x",), ("z",)}),
        ("true || null == a", {("a",)}),
    ],
)
def test_what_an_expression_refers_to(text: str, paths: set[tuple[str, ...]]) -> None:
    assert references(parse(text)).paths == paths
    assert set(cel.compile(text).variables()) == {path[0] for path in paths}


def test_functions_are_named() -> None:
    assert references(parse("count(where(a.b, 'c', d.lower()))")).functions == {"count", "where", "lower"}


@pytest.mark.parametrize("macro", sorted(MACROS))
def test_macros_are_refused(macro: str) -> None:
    for text in (f"a.{macro}(x, x > 0)", f"{macro}(a)", f"true || a.{macro}(x, y, z)", f"a . {macro} (x, x)"):
        with pytest.raises(ExpressionError, match="is not part of this language"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "words", "offset"),
    [
        ("", "empty", None),
        ("  // nothing", "empty", None),
        ("a +", "expected a value at the end", 3),
        ("a b", "`b` is not expected here", 2),
        ("a = b", "`=` means nothing here", 2),
        ("a & b", "`&` means nothing here", 2),
        ("(a", "expected `)` at the end", 2),
        ("[a, b", "expected `,` at the end", 5),
        ("f(a,)", "expected a value before `)`", 4),
        ("{'a' 1}", "expected `:` before `1`", 5),
        ("'abc", "no closing quote", 0),
        ("a.1", "`.1` is not expected", 1),
        ("a.'b'", "expected a name after `.`", 2),
        ("1x", "`1x` is no number", 0),
        ("1u", "`1u` is no number", 0),
        ("b'x'", "bytes are not part", 0),
        ("has(a)", "has() asks for one key", 0),
        ("has(a['b'])", "has() asks for one key", 0),
        ("Point{x: 1}", "messages are not part", 5),
        ("for", "reserved word", 0),
        ("a.in", "cannot stand after", 2),
        ("not a", "`not` is no operator", 0),
        ("$a", "`$` means nothing here", 0),
        ("a ? b", "expected `:` at the end", 5),
        ("a.?b", "expected a name after `.`", 2),
    ],
)
def test_what_is_no_expression(text: str, words: str, offset: int | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert words in caught.value.message
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "text",
    [
        "(" * (DEEPEST_EXPRESSION + 1) + "a" + ")" * (DEEPEST_EXPRESSION + 1),
        "[" * 2000 + "]" * 2000,
        "!" * 2000 + "a",
        "-" * 2000 + "1",
        "a" + ".b" * 1500,
        "a" + "[0]" * 1000,
        " + ".join(["a"] * (MOST_ADDITIONS + 2)),
        "a" * 4097,
        "f(" * 1000 + ")" * 1000,
        "a ? " * 900 + "b",
    ],
)
def test_bounds(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


WORDS = some.sampled_from(
    [*"a1+-*<!()[]{}:?,. ", "b.c", "2.5", "'x'", "==", "&&", "||", "in", "has(a.b)", "size(a)", "true", "null"]
)


@settings(max_examples=300)
@given(some.lists(WORDS, max_size=12).map(" ".join))
def test_what_the_grammar_accepts_cel_accepts(text: str) -> None:
    try:
        tree = parse(text)
    except ExpressionError:
        return
    program = cel.compile(text)
    assert set(program.variables()) == references(tree).roots


@settings(max_examples=200)
@given(some.text(max_size=60))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        parse(text)
