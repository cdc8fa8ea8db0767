"""Moments as restic writes them, and as we do."""

import re
from datetime import UTC, datetime
from typing import Final

_FRACTION: Final = re.compile(r"\.(\d{1,6})\d*")


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time, nanoseconds cut to microseconds; raises ValueError."""
    moment = datetime.fromisoformat(_FRACTION.sub(r".\1", text))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: write it as 2026-03-01T04:00:00Z")
    return moment.astimezone(UTC)


def format_time(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
