"""Texts that hold expressions: `${{ … }}`, `{{ parameters.NAME }}`, and nothing else in double braces."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.expression.errors import ExpressionError
from pilotage_coordinator.domain.expression.tokens import Kind, tokens

MOST_PARTS: Final = 200
_MARK: Final = re.compile(r"\$\$\{\{|\$\{\{|\{\{ parameters\.([A-Za-z_][A-Za-z0-9_]*) \}\}")


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a text that an expression fills."""

    expression: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text in parts: what stands as it is, and holes."""

    parts: tuple[str | Hole, ...]

    @property
    def lone(self) -> Hole | None:
        """Return the hole when the text is nothing else: then its value keeps its kind."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Hole) else None

    @property
    def holes(self) -> tuple[str, ...]:
        """Return the expressions, in order."""
        return tuple(part.expression for part in self.parts if isinstance(part, Hole))


def texts(tree: object) -> Iterator[str]:
    """Yield every text of a tree of JSON values; keys are none."""
    match tree:
        case str():
            yield tree
        case Mapping():
            for each in tree.values():
                yield from texts(each)
        case list() | tuple():
            for each in tree:
                yield from texts(each)


def templates(tree: object) -> Iterator[str]:
    """Yield every text of a tree that may hold an expression."""
    return (text for text in texts(tree) if "{{" in text)


def parse_template(text: str) -> Template:
    """Return the parts of a text. Raises ExpressionError when a `${{` has no end."""
    if "{{" not in text:
        return Template((text,))
    parts: list[str | Hole] = []
    plain: list[str] = []
    at = 0
    while (mark := _MARK.search(text, at)) is not None:
        plain.append(text[at : mark.start()])
        at = mark.end()
        if mark[0] == "$${{":
            plain.append("${{")
            continue
        if any(plain):
            parts.append("".join(plain))
        plain = []
        if mark[1] is not None:
            parts.append(Hole(f"parameters.{mark[1]}"))
        else:
            end = _end(text, at)
            parts.append(Hole(text[at:end].strip()))
            at = end + 2
        if len(parts) > 2 * MOST_PARTS:
            raise ExpressionError(f"a text holds more than {MOST_PARTS} expressions", text)
    plain.append(text[at:])
    if any(plain) or not parts:
        parts.append("".join(plain))
    return Template(tuple(parts))


def _end(text: str, start: int) -> int:
    """Return where the `}}` of the expression that starts at `start` stands: not one inside a text or a map."""
    depth = 0
    closed = -1
    for token in tokens(text, start):
        if token.kind is Kind.END:
            break
        if token.text == "{" and token.kind is Kind.SIGN:
            depth += 1
        elif token.text == "}" and token.kind is Kind.SIGN:
            if depth:
                depth -= 1
            elif closed == token.at - 1:
                return closed
            else:
                closed = token.at
                continue
        if closed >= 0:
            break
    raise ExpressionError("an expression has no closing `}}`", text, start, "a literal ${{ is written $${{")
