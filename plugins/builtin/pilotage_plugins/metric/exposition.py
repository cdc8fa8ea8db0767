"""The text format in which programs tell their figures (Prometheus text format 0.0.4), read strictly."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pilotage_plugin_api import StepFailed

METRIC_PATTERN: Final = r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}$"
LABEL_PATTERN: Final = r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$"

_SAMPLE: Final = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*(?P<rest>.*)", re.DOTALL)
_LABEL: Final = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(,|(?=\}))')
_TAIL: Final = re.compile(r"[ \t]*(?P<value>[^ \t]+)(?:[ \t]+-?[0-9]+)?[ \t]*")
_ESCAPE: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One series with its value, which may be infinite or no number."""

    labels: Mapping[str, str]
    value: float


def samples_of(metric: str, text: str) -> Iterator[Sample]:
    """Yield every series of this very name; raises StepFailed for a line that is not of the format.

    Lines of other metrics are looked at as far as their name, so that a page of thousands is read quickly.
    """
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(stripped)
        if found is None:
            raise _bad(number, line)
        if found["name"] == metric:
            labels, rest = _labels(found["rest"], number, line)
            yield Sample(labels, _value(rest, number, line))


def number_of(word: str) -> float:
    """Read a value as Prometheus writes it; raises ValueError for what is none."""
    if not re.fullmatch(r"[+-]?(?:Inf|NaN|[0-9.]+(?:[eE][+-]?[0-9]+)?)", word, re.IGNORECASE):
        raise ValueError(f"{word[:50]!r} is no number")
    return float(word)


def is_figure(value: float) -> bool:
    """Return whether a value can be compared: infinite and NaN cannot."""
    return math.isfinite(value)


def _labels(rest: str, number: int, line: str) -> tuple[dict[str, str], str]:
    labels: dict[str, str] = {}
    if not rest.startswith("{"):
        return labels, rest
    place = 1
    while not (closed := re.compile(r"[ \t]*\}").match(rest, place)):
        found = _LABEL.match(rest, place)
        if found is None or found[1] in labels:
            raise _bad(number, line)
        labels[found[1]] = _ESCAPE.sub(lambda escape: {"n": "\n"}.get(escape[1], escape[1]), found[2])
        place = found.end()
    return labels, rest[closed.end() :]


def _value(rest: str, number: int, line: str) -> float:
    found = _TAIL.fullmatch(rest)
    try:
        return number_of(found["value"] if found else "")
    except ValueError:
        raise _bad(number, line) from None


def _bad(number: int, line: str) -> StepFailed:
    return StepFailed(f"line {number} of the answer is no metric in Prometheus's text format: {line[:200]!r}")
