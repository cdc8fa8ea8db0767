"""Versions as texts that sort in their order."""

import re
from typing import Final

from pilotage_coordinator.domain.expression.errors import FunctionRefused

_VERSION: Final = re.compile(
    r"v?(?:(?P<epoch>\d{1,9}):)?(?P<numbers>\d{1,18}(?:\.\d{1,18}){0,9})(?P<rest>[.~+-]?[0-9A-Za-z.~+_-]{0,100})"
)
_WIDTH: Final = 18
_PLACES: Final = 10


def sortable_version(text: str) -> str:
    """Return a text that sorts among its like as the version does.

    Numbers compare as numbers, missing ones are 0: 1.10 > 1.9, 1.0 = 1.0.0. A suffix that starts with a letter is a
    pre-release and comes before the release (1.0-rc1 < 1.0), `~` likewise; one that starts with a digit is a revision
    and comes after (1.0-2 > 1.0-1). What follows a `+` is a revision too. An epoch (`1:2.3`) comes first.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise FunctionRefused(f"version(): `{text[:60]}` is no version")
    numbers = [each.zfill(_WIDTH) for each in match["numbers"].split(".")]
    numbers += ["0" * _WIDTH] * (_PLACES - len(numbers))
    rest = match["rest"]
    letters = rest.lstrip("-._")
    if not letters:
        rank = "5"
    elif rest[0] == "~" or (letters[0].isalpha() and rest[0] != "+"):
        rank = "3"
    else:
        rank = "7"
    parts = (part.zfill(_WIDTH) if part.isdigit() else part for part in re.findall(r"\d+|[A-Za-z]+|~", letters))
    return ".".join(((match["epoch"] or "0").zfill(9), *numbers, rank, *parts))
