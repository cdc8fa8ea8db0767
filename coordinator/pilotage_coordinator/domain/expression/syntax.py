"""The grammar of expressions: CEL without macros, messages and bytes; bounded in length, depth and work.

The CEL library parses what it evaluates by itself. This parser stands before it, because it refuses what nothing could
interrupt (nested macros), and because the loader must know every name that an expression uses.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.tokens import LONGEST_EXPRESSION, Kind, Token, tokens

DEEPEST_EXPRESSION: Final = 32
MOST_ADDITIONS: Final = 64
"""Each `+` may copy both its sides: this bounds the copying that one expression can ask for."""

MACROS: Final = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter", "bind", "sortBy"})
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package"}
    | {"namespace", "return", "var", "void", "while"}
)
_ENGLISH: Final = {"and": "&&", "or": "||", "not": "!"}
_LEVELS: Final = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "in": 3,
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
}


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text, true, false or null."""

    value: object
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name that the scope gives a value."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`."""

    of: "Expression"
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    """`of[key]`."""

    of: "Expression"
    key: "Expression"
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`; `of.function(…)` has `of` as its first argument."""

    function: str
    arguments: tuple["Expression", ...]
    at: int


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its operands: `!`, unary `-`, the binary ones, `?:`, `[]` (a list) and `{}` (a map)."""

    sign: str
    operands: tuple["Expression", ...]
    at: int


Expression: TypeAlias = Literal | Name | Member | Index | Call | Operation


@dataclass(slots=True)
class _Reader:
    text: str
    words: list[Token]
    next: int = 0
    depth: int = 0
    additions: int = 0

    def peek(self) -> Token:
        return self.words[self.next]

    def take(self, *signs: str) -> Token | None:
        """Step over the next word when it is one of these signs."""
        word = self.peek()
        if word.kind is Kind.SIGN and word.text in signs:
            self.next += 1
            return word
        return None

    def expect(self, sign: str) -> None:
        if self.take(sign) is None:
            raise self.refused(
                f"expected `{sign}`" + (f" before `{self.peek().text}`" if self.peek().text else " at the end")
            )

    def refused(self, message: str, hint: str = "", at: int | None = None) -> ExpressionError:
        return ExpressionError(message, self.text, self.peek().at if at is None else at, hint)


def parse(text: str) -> Expression:
    """Return the tree of an expression. Raises ExpressionError when it is none, or goes beyond a bound."""
    if len(text) > LONGEST_EXPRESSION:
        raise ExpressionError(f"the expression is longer than {LONGEST_EXPRESSION} characters", text)
    reader = _Reader(text, list(tokens(text)))
    if reader.peek().kind is Kind.END:
        raise ExpressionError("the expression is empty")
    tree = _expression(reader)
    if reader.peek().kind is not Kind.END:
        word = reader.peek().text
        cure = f"write {_ENGLISH[word]}" if word in _ENGLISH else ""
        raise reader.refused(f"`{word[:40]}` is not expected here", cure)
    return tree


def _expression(reader: _Reader) -> Expression:
    """expr = or ["?" or ":" expr]"""
    reader.depth += 1
    if reader.depth > DEEPEST_EXPRESSION:
        raise reader.refused(f"the expression nests deeper than {DEEPEST_EXPRESSION}")
    condition = _binary(reader, 1)
    mark = reader.take("?")
    if mark is None:
        reader.depth -= 1
        return condition
    yes = _binary(reader, 1)
    reader.expect(":")
    no = _expression(reader)
    reader.depth -= 1
    return Operation("?:", (condition, yes, no), mark.at)


def _binary(reader: _Reader, lowest: int) -> Expression:
    left = _unary(reader)
    while True:
        word = reader.peek()
        operator = word.kind is Kind.SIGN or word.text == "in"
        level = _LEVELS.get(word.text, 0) if operator and word.kind is not Kind.STRING else 0
        if level < lowest:
            return left
        reader.next += 1
        if word.text == "+":
            reader.additions += 1
            if reader.additions > MOST_ADDITIONS:
                raise reader.refused(f"the expression has more than {MOST_ADDITIONS} `+`", "use join()", word.at)
        left = Operation(word.text, (left, _binary(reader, level + 1)), word.at)


def _unary(reader: _Reader) -> Expression:
    signs: list[Token] = []
    while (sign := reader.take("!", "-")) is not None:
        signs.append(sign)
        if len(signs) > DEEPEST_EXPRESSION or sign.text != signs[0].text:
            raise reader.refused("too many signs in a row", "use parentheses", sign.at)
    value = _member(reader)
    for sign in reversed(signs):
        value = Operation(sign.text + "_", (value,), sign.at)
    return value


def _member(reader: _Reader) -> Expression:
    value = _primary(reader)
    links = 0
    while (sign := reader.take(".", "[")) is not None:
        links += 1
        if links > DEEPEST_EXPRESSION:
            raise reader.refused(f"a chain has more than {DEEPEST_EXPRESSION} links", at=sign.at)
        if sign.text == "[":
            value = Index(value, _expression(reader), sign.at)
            reader.expect("]")
            continue
        name = reader.peek()
        if name.kind is not Kind.NAME:
            raise reader.refused("expected a name after `.`", "keys that are no names are written x['key']")
        if name.text in ("in", "true", "false", "null"):
            raise reader.refused(f"`{name.text}` cannot stand after `.`", f"write x['{name.text}']")
        reader.next += 1
        called = reader.take("(") is not None
        value = _call(reader, name, (value,)) if called else Member(value, name.text, name.at)
    return value


def _primary(reader: _Reader) -> Expression:
    word = reader.peek()
    reader.next += 1
    if word.kind in (Kind.NUMBER, Kind.STRING):
        return Literal(word.value, word.at)
    if word.kind is Kind.NAME:
        return _named(reader, word)
    if word.text == "(":
        inner = _expression(reader)
        reader.expect(")")
        return inner
    if word.text == "[":
        return Operation("[]", _items(reader, "]"), word.at)
    if word.text == "{":
        return Operation("{}", _entries(reader), word.at)
    reader.next -= 1
    raise reader.refused(f"expected a value before `{word.text}`" if word.text else "expected a value at the end")


def _named(reader: _Reader, word: Token) -> Expression:
    constants: dict[str, object] = {"true": True, "false": False, "null": None}
    if word.text in constants:
        return Literal(constants[word.text], word.at)
    if word.text in _RESERVED or word.text == "in":
        raise reader.refused(f"`{word.text}` is a reserved word", at=word.at)
    if word.text in _ENGLISH:
        raise reader.refused(f"`{word.text}` is no operator", f"write {_ENGLISH[word.text]}", word.at)
    if reader.take("("):
        return _call(reader, word, ())
    if reader.peek().kind is Kind.SIGN and reader.peek().text == "{":
        raise reader.refused("messages are not part of this language", "write a map: {'key': value}")
    return Name(word.text, word.at)


def _call(reader: _Reader, name: Token, of: tuple[Expression, ...]) -> Expression:
    if name.text in MACROS:
        hint = "use where, pluck, count or sort_by: they take linear time"
        raise reader.refused(f"`{name.text}` is not part of this language", hint, name.at)
    arguments = (*of, *_items(reader, ")"))
    if name.text == "has" and (of or len(arguments) != 1 or not isinstance(arguments[0], Member)):
        raise reader.refused("has() asks for one key", "write has(host.labels.rack)", name.at)
    return Call(name.text, arguments, name.at)


def _items(reader: _Reader, closing: str) -> tuple[Expression, ...]:
    items: list[Expression] = []
    while reader.take(closing) is None:
        if items:
            reader.expect(",")
            if closing == "]" and reader.take(closing):
                break
        items.append(_expression(reader))
    return tuple(items)


def _entries(reader: _Reader) -> tuple[Expression, ...]:
    entries: list[Expression] = []
    while reader.take("}") is None:
        if entries:
            reader.expect(",")
            if reader.take("}"):
                break
        entries.append(_expression(reader))
        reader.expect(":")
        entries.append(_expression(reader))
    return tuple(entries)
