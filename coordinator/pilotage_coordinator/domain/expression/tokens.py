"""The words of an expression."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pilotage_coordinator.domain.expression.errors import ExpressionError

LONGEST_EXPRESSION: Final = 4096


class Kind(StrEnum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its text as written, what it means (strings decoded, numbers read), and where it starts."""

    kind: Kind
    text: str
    value: object
    at: int


_SPACE: Final = re.compile(r"(?:[ \t\r\n\f]+|//[^\n]*)+")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?")
_STRING: Final = re.compile(
    r"""(?P<raw>[rR])?(?:"{3}(?P<a>(?:[^\\]|\\.)*?)"{3}|'{3}(?P<b>(?:[^\\]|\\.)*?)'{3}"""
    r"""|"(?P<c>(?:[^"\\\n]|\\.)*)"|'(?P<d>(?:[^'\\\n]|\\.)*)')""",
    re.DOTALL,
)
_RAW_STRING: Final = re.compile(r"""[rR](?:"(?P<a>[^"\n]*)"|'(?P<b>[^'\n]*)')""")
_SIGN: Final = re.compile(r"\|\||&&|[<>=!]=|[-+*/%<>!?:.,()\[\]{}]")
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))"
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of `text` from `start`, then an end token. Raises ExpressionError at what is none."""
    at = start
    while True:
        space = _SPACE.match(text, at)
        if space is not None:
            at = space.end()
        if at >= len(text):
            yield Token(Kind.END, "", None, at)
            return
        token, at = _next(text, at)
        yield token


def _next(text: str, at: int) -> tuple[Token, int]:
    if text[at] in "rR\"'":
        found = _string(text, at)
        if found is not None:
            return found
    match = _NAME.match(text, at)
    if match is not None:
        _refuse_bytes(text, match)
        return Token(Kind.NAME, match[0], match[0], at), match.end()
    match = _NUMBER.match(text, at)
    if match is not None:
        after = text[match.end() : match.end() + 1]
        if after.isalnum() or after == "_":
            raise ExpressionError(f"`{match[0]}{after}` is no number", text, at)
        return Token(Kind.NUMBER, match[0], _number(match[0]), at), match.end()
    match = _SIGN.match(text, at)
    if match is not None:
        return Token(Kind.SIGN, match[0], match[0], at), match.end()
    hints = {"=": "write == to compare", "&": "write &&", "|": "write ||", "$": "the expression stands without ${{ }}"}
    if text[at] in "\"'":
        raise ExpressionError("a text has no closing quote", text, at)
    raise ExpressionError(f"`{text[at]}` means nothing here", text, at, hints.get(text[at], ""))


def _refuse_bytes(text: str, match: re.Match[str]) -> None:
    if match[0].lower() in ("b", "br", "rb") and text[match.end() : match.end() + 1] in ("'", '"'):
        raise ExpressionError("bytes are not part of this language", text, match.start(), "write a text")


def _string(text: str, at: int) -> tuple[Token, int] | None:
    raw = _RAW_STRING.match(text, at)
    triple = text[at + 1 : at + 4] in ('"""', "'''")
    if raw is not None and not triple:
        return Token(Kind.STRING, raw[0], raw["a"] if raw["a"] is not None else raw["b"], at), raw.end()
    match = _STRING.match(text, at)
    if match is None:
        return None
    inner = next(each for each in (match["a"], match["b"], match["c"], match["d"]) if each is not None)
    value = inner if match["raw"] else _ESCAPE.sub(_unescape, inner)
    return Token(Kind.STRING, match[0], value, at), match.end()


def _unescape(match: re.Match[str]) -> str:
    if match[1] is not None:
        return _SIMPLE.get(match[1], match[1])
    code = int(match[5], 8) if match[5] is not None else int(match[2] or match[3] or match[4], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def _number(text: str) -> int | float:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return float(text) if any(sign in text for sign in ".eE") else int(text)
