"""Values that people write in blueprints: durations, sizes, percentages and amounts.

Durations are integer microseconds inside, sizes integer bytes. Every value has one written form (`write_*`), so that a
normalised blueprint prints the same text everywhere.
"""

import re
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.errors import ValueRefused
from pilotage_coordinator.domain.share import Share

MICROSECOND: Final = 1
MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

LONGEST_DURATION: Final = 3650 * DAY
"""Ten years: longer is a slip of the pen, and every sum of a few stays exact in JSON."""

_UNITS: Final = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLISECOND))
_DURATION: Final = re.compile(
    r"(?:(?P<d>[0-9]{1,6})d)?(?:(?P<h>[0-9]{1,9})h)?(?:(?P<m>[0-9]{1,9})m(?!s))?(?:(?P<s>[0-9]{1,9})s)?(?:(?P<ms>[0-9]{1,9})ms)?"
)
_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,16})(?:\.(?P<fraction>[0-9]{1,6}))? ?(?P<unit>[KMGTP]i?B|B)?")
_SIZE_UNITS: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
}
LARGEST_SIZE: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

MOST_HOSTS: Final = 999_999
_PERCENT: Final = re.compile(r"([0-9]{1,3})%")


def parse_duration(text: str) -> int:
    """Read `10s`, `5m`, `1h30m`, `2d` or `250ms` as microseconds; raise ValueRefused otherwise."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueRefused(f"`{_cut(text)}` is no duration; write it as 10s, 5m, 1h30m or 2d")
    total = sum(int(match[unit]) * size for unit, size in _UNITS if match[unit] is not None)
    if total > LONGEST_DURATION:
        raise ValueRefused(f"`{_cut(text)}` is longer than ten years")
    return total


def write_duration(microseconds: int) -> str:
    """Write a duration in its shortest exact form: `1h30m`, `0s`. Below a millisecond is cut off."""
    parts: list[str] = []
    rest = microseconds
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Read `10GiB`, `1.5 GB` or `512` as bytes; raise ValueRefused otherwise."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueRefused(f"`{_cut(text)}` is no size; write it as 10GiB, 512MiB, 4GB or a number of bytes")
    unit = _SIZE_UNITS[match["unit"] or "B"]
    fraction = match["fraction"] or ""
    size = int(match["number"]) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
    if size > LARGEST_SIZE:
        raise ValueRefused(f"`{_cut(text)}` is larger than 8 PiB")
    return size


def write_size(size: int) -> str:
    """Write a size exactly: in the largest binary unit that divides it, else in bytes."""
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def parse_percent(text: str) -> int:
    """Read `20%` as 20; raise ValueRefused unless it is a whole number from 1% to 100%."""
    match = _PERCENT.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 100:
        raise ValueRefused(f"`{_cut(text)}` is no percentage; write a whole number from 1% to 100%")
    return int(match[1])


def read_share(value: object) -> Share:
    """Read 4, `"4"` or `"20%"`; raise ValueRefused otherwise."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_HOSTS:
        return Share(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
        return Share(int(value))
    if isinstance(value, str) and value.endswith("%"):
        return Share(parse_percent(value), percent=True)
    raise ValueRefused(f"`{_cut(str(value))}` is neither a number of hosts nor a percentage; write it as 4 or 20%")


@dataclass(frozen=True, slots=True)
class Amount:
    """How many hosts or items: a share, or an expression that gives one at plan time. Exactly one field is set."""

    share: Share | None = None
    expression: str | None = None
    """A lone `${{ … }}` over `parameters`; its value is for `read_share`."""

    def write(self) -> int | str:
        """Return the form that a blueprint holds: 4, `20%` or `${{ … }}`."""
        if self.share is None:
            return str(self.expression)
        return str(self.share) if self.share.percent else self.share.number


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
