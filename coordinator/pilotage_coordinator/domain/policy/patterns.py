"""Names that rules give with `*` and `?`."""

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache


def like(text: str, patterns: Iterable[str]) -> bool:
    """Return whether a text is any of these names, in which `*` and `?` stand for letters."""
    return any(_pattern(each).fullmatch(text) is not None for each in patterns)


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(translate(text))
