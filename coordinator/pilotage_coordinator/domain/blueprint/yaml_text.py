"""Writing JSON-able values as YAML that every reader, old or new, reads alike: what could be taken for another kind is
quoted."""

import json
import re
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ ./@-][A-Za-z0-9_]+)*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def write_yaml(value: object) -> str:
    """Return `value` as a YAML document that ends with a line break. Keys keep their order."""
    lines: list[str] = []
    _block(value, "", lines)
    return "\n".join(lines) + "\n"


def _block(value: object, indent: str, lines: list[str]) -> None:
    match value:
        case dict() if value:
            for key, each in value.items():
                _entry(f"{indent}{_scalar(key)}:", each, indent + "  ", lines)
        case list() if value:
            for each in value:
                _item(each, indent, lines)
        case _:
            lines.append(indent + _scalar(value))


def _entry(head: str, value: Any, indent: str, lines: list[str]) -> None:
    if isinstance(value, dict | list) and value:
        lines.append(head)
        _block(value, indent, lines)
    else:
        lines.append(f"{head} {_scalar(value)}")


def _item(value: Any, indent: str, lines: list[str]) -> None:
    """Write a list's item: a mapping's first key stands on the line of the dash."""
    start = len(lines)
    _block(value, indent + "  ", lines)
    lines[start] = f"{indent}- {lines[start][len(indent) + 2 :]}"


def _scalar(value: object) -> str:
    match value:
        case str():
            return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
        case dict():
            return "{}"
        case list():
            return "[]"
    return json.dumps(value)


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    simple = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    if letter in simple:
        return simple[letter]
    if letter.isprintable() and letter != "\ufeff":
        return letter
    code = ord(letter)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
