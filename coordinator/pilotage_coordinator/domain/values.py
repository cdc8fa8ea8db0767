"""Values that people write in blueprints: durations, sizes, percentages and amounts.

Durations are integer microseconds inside, sizes integer bytes. Every value has one written form (`write_*`), so that a
normalised blueprint prints the same text everywhere.
"""

import re
from dataclasses import dataclass
from typing import Final

from pilotage_coordinator.domain.errors import ValueRefused

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
    r"(?:(?P<d>\d{1,6})d)?(?:(?P<h>\d{1,9})h)?(?:(?P<m>\d{1,9})m(?!s))?(?:(?P<s>\d{1,9})s)?(?:(?P<ms>\d{1,9})ms)?"
)
_SIZE: Final = re.compile(r"(?P<number>\d{1,15})(?:\.(?P<fraction>\d{1,6}))? ?(?P<unit>[KMGTP]i?B|B)?")
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

_PERCENT: Final = re.compile(r"(?P<whole>\d{1,3})(?:\.(?P<fraction>\d{1,2}))?%")
WHOLE: Final = 10_000
"""A hundred percent, in basis points."""


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
    """Read `20%` or `2.5%` as basis points (2000, 250); raise ValueRefused otherwise."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueRefused(f"`{_cut(text)}` is no percentage; write it as 20% or 2.5%")
    points = int(match["whole"]) * 100 + int((match["fraction"] or "").ljust(2, "0"))
    if not 0 < points <= WHOLE:
        raise ValueRefused(f"`{text}` is not between 0.01% and 100%")
    return points


def write_percent(points: int) -> str:
    """Write basis points as a percentage: 2000 as `20%`, 250 as `2.5%`."""
    whole, fraction = divmod(points, 100)
    return f"{whole}.{fraction:02d}".rstrip("0").rstrip(".") + "%" if fraction else f"{whole}%"


@dataclass(frozen=True, slots=True)
class Amount:
    """How many hosts: a count, a share of the resolved hosts, or an expression that gives either at plan time.

    Exactly one field is set.
    """

    count: int | None = None
    points: int | None = None
    expression: str | None = None

    def of(self, hosts: int) -> int:
        """Return the number meant among `hosts`: a share is rounded up and at least 1.

        Raises ValueRefused while the amount is still an expression.
        """
        if self.count is not None:
            return self.count
        if self.points is not None:
            return max(1, -(-hosts * self.points // WHOLE))
        raise ValueRefused(f"`{self.expression}` has no value yet; resolve it with the parameters first")

    def write(self) -> int | str:
        """Return the form that a blueprint holds: 4, `20%` or `${{ … }}`."""
        if self.count is not None:
            return self.count
        return write_percent(self.points) if self.points is not None else str(self.expression)


def read_amount(value: object) -> Amount:
    """Read 4, `"4"` or `"20%"`; raise ValueRefused otherwise. An expression is no value yet: see Amount."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000:
        return Amount(count=value)
    if isinstance(value, str) and re.fullmatch(r"\d{1,6}", value):
        return Amount(count=int(value))
    if isinstance(value, str) and value.endswith("%"):
        return Amount(points=parse_percent(value))
    raise ValueRefused(f"`{_cut(str(value))}` is neither a number of hosts nor a percentage; write it as 4 or 20%")


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
