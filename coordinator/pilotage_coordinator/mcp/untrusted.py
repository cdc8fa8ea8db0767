"""What comes from hosts, made fit for a model: without what cannot be seen, bounded, and fenced as untrusted.

A host may print anything, also a sentence that reads like an order. The fence carries a number that is new for every
answer, so that no output can end it.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

LONGEST_TEXT: Final = 4_000
"""Characters of one text; the rest is counted and left out."""
_KEPT: Final = "\n\t"
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
"""Control, format (bidirectional overrides, zero-width and tag characters), private use, surrogates, unassigned."""


def clean(text: str) -> str:
    """Return a text without control and invisible characters; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each for each in lines if each in _KEPT or unicodedata.category(each) not in _UNSEEN)


def cut(text: str, most: int = LONGEST_TEXT, rest: str = "") -> str:
    """Return at most `most` characters, and say how many are missing and how to have them."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… [{len(text) - most} more characters{': ' + rest if rest else ''}]"


def cleaned(value: Any) -> Any:
    """Return a JSON value with all its texts cleaned, the names of fields included."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): cleaned(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(each) for each in value]
    return value


class Fence:
    """Fences of one answer."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        """Draw the number that marks this answer's fences."""
        self._mark = random_bytes(6).hex()

    def __call__(self, host: str, output: Any, most: int = LONGEST_TEXT, rest: str = "") -> str:
        """Return output of a host between marks; JSON is written as such. Empty stays empty."""
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False) if output else ""
        if not text:
            return ""
        where = clean(host) or "the coordinator"
        body = cut(clean(text), most, rest)
        return f"<untrusted-output mark={self._mark} from={where}>\n{body}\n</untrusted-output mark={self._mark}>"
