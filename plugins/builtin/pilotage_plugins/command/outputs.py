"""Turning what a program printed into outputs that fit."""

import json
from enum import StrEnum
from typing import Any, Final

from pilotage_plugin_api import ProgramResult, StepFailed

TAIL_JSON_LIMIT: Final = 12 * 1024
PARSED_JSON_LIMIT: Final = 32 * 1024


class Parse(StrEnum):
    """How standard output is read."""

    NONE = "none"
    JSON = "json"
    LINES = "lines"


def text_tail(data: bytes, limit: int = TAIL_JSON_LIMIT) -> str:
    """Return the end of the text that takes at most `limit` bytes as JSON (control characters grow sixfold there)."""
    text = data[-limit:].decode("utf-8", "backslashreplace")
    while (size := len(json.dumps(text, ensure_ascii=False).encode())) > limit:
        text = text[len(text) * (size - limit) // size + 1 :]
    return text


def parse_stdout(result: ProgramResult, how: Parse, program: str) -> Any:
    """Return the parsed standard output; raises StepFailed when it is not what was promised, or too big."""
    if how is Parse.NONE:
        return None
    if result.stdout_cut:
        raise StepFailed(
            f"{program} printed {result.stdout_bytes} bytes, too much to parse: print less, or write it to a file"
        )
    text = result.stdout.decode("utf-8", "backslashreplace")
    try:
        parsed = text.splitlines() if how is Parse.LINES else json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise StepFailed(f"{program} did not print JSON: {error}; it printed {text[:200]!r}") from error
    size = len(json.dumps(parsed, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > PARSED_JSON_LIMIT:
        raise StepFailed(
            f"what {program} printed is {size} bytes as JSON, the limit is {PARSED_JSON_LIMIT}: print less"
        )
    return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
