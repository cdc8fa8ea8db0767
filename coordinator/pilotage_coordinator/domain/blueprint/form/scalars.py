"""Shapes of single values: text, numbers, durations, amounts, names, templates and conditions."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from pilotage_coordinator.domain.blueprint.errors import did_you_mean
from pilotage_coordinator.domain.blueprint.form.shapes import Reading, Schema
from pilotage_coordinator.domain.blueprint.nodes import Node, ScalarNode, describe
from pilotage_coordinator.domain.blueprint.position import Path
from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.values import MILLISECOND, Amount, parse_duration, read_share

ID_PATTERN: Final = "[a-z][a-z0-9_]{0,62}"
NAME_PATTERN: Final = "[A-Za-z_][A-Za-z0-9_]{0,62}"
TYPE_PATTERN: Final = "[a-z][a-z0-9_]*(?:\\.[a-z][a-z0-9_]*)*"
VERSION_PATTERN: Final = (
    r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){0,2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
LONE_EXPRESSION_PATTERN: Final = r"\s*\$\{\{.*\}\}\s*"
DURATION_PATTERN: Final = r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?"


@dataclass(frozen=True, slots=True)
class Text:
    """A text. A number or boolean without quotes is refused: it would not keep its form."""

    longest: int = 16_384
    empty: bool = True

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            quoted = f'quote it: "{node.text[:40]}"' if isinstance(node, ScalarNode) and node.text else ""
            return reading.refuse(node, path, f"expected a text, not {describe(node)}", quoted)
        if len(node.value) > self.longest:
            return reading.refuse(node, path, f"this text is longer than {self.longest} characters")
        if not self.empty and not node.value.strip():
            return reading.refuse(node, path, "this text is empty")
        return node.value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string"} if self.empty else {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Matching:
    """A text that matches a pattern as a whole; `wanted` names what it is and how to write it."""

    pattern: str
    wanted: str
    hint: str = ""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        text = Text(longest=1024).read(node, path, reading)
        if isinstance(text, str) and re.fullmatch(self.pattern, text, re.DOTALL) is None:
            return reading.refuse(node, path, f"`{text[:60]}` is no {self.wanted}", self.hint)
        return text

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


ID: Final = Matching(ID_PATTERN, "id", "lower-case letters, digits and _, a letter first, at most 63")
NAME: Final = Matching(NAME_PATTERN, "name", "letters, digits and _, no digit first, at most 63")


@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version, always quoted; a missing minor or patch number is 0."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if isinstance(node, ScalarNode) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            message = f"unquoted `{node.text[:40]}` is a number: 1.10 would become 1.1"
            return reading.refuse(node, path, message, f'quote it: "{node.text[:40]}"')
        text = Text(longest=128).read(node, path, reading)
        if not isinstance(text, str):
            return text
        if re.fullmatch(VERSION_PATTERN, text) is None:
            return reading.refuse(node, path, f"`{text[:60]}` is no semantic version", 'write "1.4.0"')
        numbers = re.match(r"[0-9.]+", text)
        assert numbers is not None
        return numbers[0] + ".0" * (2 - numbers[0].count(".")) + text[numbers.end() :]

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "pattern": f"^(?:{VERSION_PATTERN})$"}


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        return reading.refuse(node, path, f"expected true or false, not {describe(node)}")

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds; `whole` refuses fractions."""

    least: float = 0
    most: float = 2**53 - 1
    whole: bool = True

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        wanted = "a whole number" if self.whole else "a number"
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return reading.refuse(node, path, f"expected {wanted}, not {describe(node)}")
        if not self.least <= value <= self.most:
            return reading.refuse(node, path, f"expected {wanted} from {self.least:g} to {self.most:g}, not {value}")
        return value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        kind = "integer" if self.whole else "number"
        return {"type": kind, "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words. `reserved` ones are kept for later."""

    words: Collection[str]
    reserved: Collection[str] = ()
    enum: type | None = None
    """The enumeration that a word becomes; None: it stays text."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        text = node.value if isinstance(node, ScalarNode) else None
        if isinstance(text, str) and text in self.reserved:
            return reading.refuse(node, path, f"`{text}` is reserved and not available yet")
        if not isinstance(text, str) or text not in self.words:
            written = f"`{text}`" if isinstance(text, str) else describe(node)
            hint = did_you_mean(text, self.words) if isinstance(text, str) else ""
            return reading.refuse(node, path, f"expected {' or '.join(self.words)}, not {written[:80]}", hint)
        return self.enum(text) if self.enum is not None else text

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"enum": [str(each) for each in self.words]}


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration such as 10s or 1h30m, read as microseconds; at least `least`."""

    least: int = 0

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            unit = f"write {node.text}s or {node.text}m" if isinstance(node, ScalarNode) and node.text else ""
            return reading.refuse(node, path, f"expected a duration such as 10s or 5m, not {describe(node)}", unit)
        try:
            value = parse_duration(node.value)
        except ValueRefused as refused:
            return reading.refuse(node, path, str(refused))
        if value < self.least:
            return reading.refuse(node, path, f"`{node.value}` is too short; it must be more than 0s")
        return value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "pattern": f"^{DURATION_PATTERN}$", "minLength": 2}


@dataclass(frozen=True, slots=True)
class Units:
    """A plain number of some unit (`timeout_minutes: 5`), read as microseconds, to the millisecond."""

    unit: int
    least: float = 0

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        value = Number(self.least, 5_256_000, whole=False).read(node, path, reading)
        return round(value * self.unit / MILLISECOND) * MILLISECOND if isinstance(value, int | float) else value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "number", "minimum": self.least}


@dataclass(frozen=True, slots=True)
class Share:
    """How many hosts or items: 4, "20%", or a lone expression over parameters."""

    least: int = 0

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, str) and re.fullmatch(LONE_EXPRESSION_PATTERN, value, re.DOTALL):
            return Amount(expression=value.strip())
        try:
            share = read_share(value)
        except ValueRefused as refused:
            return reading.refuse(
                node, path, str(refused) if value is not None else f"expected 4 or 20%, not {describe(node)}"
            )
        if share.number < self.least:
            return reading.refuse(node, path, f"expected at least {self.least}, not {share}")
        return Amount(share)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        pattern = f"^(?:\\d{{1,6}}|\\d{{1,3}}%|{LONE_EXPRESSION_PATTERN})$"
        return {"anyOf": [{"type": "integer", "minimum": self.least}, {"type": "string", "pattern": pattern}]}


@dataclass(frozen=True, slots=True)
class Condition:
    """A bare CEL expression. What it says is checked later; here only that it is no template."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.text.lower()
        text = Text(longest=4096, empty=False).read(node, path, reading)
        if isinstance(text, str) and "${{" in text:
            return reading.refuse(
                node, path, "a condition holds no ${{ }}", "write the expression itself, without ${{ }}"
            )
        return text

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"anyOf": [{"type": "string", "minLength": 1}, {"type": "boolean"}]}


@dataclass(frozen=True, slots=True)
class LoneExpression:
    """A text that is one `${{ … }}` and nothing else."""

    def read(self, node: Node, path: Path, reading: Reading) -> Any:
        text = Text(empty=False).read(node, path, reading)
        if isinstance(text, str) and re.fullmatch(LONE_EXPRESSION_PATTERN, text, re.DOTALL) is None:
            return reading.refuse(node, path, f"expected one expression, not `{text[:40]}`", 'write "${{ … }}"')
        return text.strip() if isinstance(text, str) else text

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "pattern": f"^{LONE_EXPRESSION_PATTERN}$"}
