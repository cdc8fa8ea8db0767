"""Taking the values of secrets out of whatever leaves the host: logs, outputs, errors, evidence.

A safety net, never a boundary: a step that wants to tell a secret can always write it in some way of its own.
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

MARK: Final = "[redacted]"

_SHORTEST: Final = 4
"""Shorter values are not looked for: they would turn every log into marks."""

_SHORTEST_LINE: Final = 8


class Redactor:
    """Replaces every known form of some secrets: as they are, base64, URL and JSON encoded, hexadecimal."""

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        forms: set[str] = set()
        for value in values:
            forms |= _forms(value)
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(form) for form in ordered)) if ordered else None

    def text(self, text: str) -> str:
        """Return the text with every form of every secret replaced."""
        return text if self._pattern is None else self._pattern.sub(MARK, text)

    def value(self, value: Any) -> Any:
        """Return a JSON value with every string in it, keys included, redacted."""
        if self._pattern is None:
            return value
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                return [self.value(item) for item in value]
            case dict():
                return {self.text(str(name)): self.value(item) for name, item in value.items()}
            case int() | float() if not isinstance(value, bool) and self.text(str(value)) != str(value):
                return MARK
        return value


def _forms(value: bytes) -> set[str]:
    raw = value.decode("utf-8", "backslashreplace")
    texts = {raw, raw.strip()} | {line.strip() for line in raw.splitlines() if len(line.strip()) >= _SHORTEST_LINE}
    forms: set[str] = set()
    for text in texts:
        if len(text) < _SHORTEST:
            continue
        data = text.encode("utf-8", "surrogatepass")
        forms |= {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], data.hex()}
        forms |= {quote(data, safe=""), quote(data), quote_plus(data)}
        forms |= _base64_forms(data)
    forms |= _base64_forms(value) | {value.hex()}
    return {form for form in forms if len(form) >= _SHORTEST}


def _base64_forms(data: bytes) -> set[str]:
    """Return the base64 of the value, and the parts of it that stay when it stands inside longer data.

    Base64 groups three bytes; inside longer data the value may start at any of three places of a group. The
    characters that depend on its neighbours are left off at both ends.
    """
    if len(data) < _SHORTEST:
        return set()
    forms = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms |= {encode(data).decode(), encode(data).decode().rstrip("=")}
        for shift in range(3):
            coded = encode(b"\0" * shift + data).decode().rstrip("=")
            start = (shift * 8 + 5) // 6
            end = (shift + len(data)) * 8 // 6
            if end - start >= _SHORTEST_LINE:
                forms.add(coded[start:end])
    return forms
