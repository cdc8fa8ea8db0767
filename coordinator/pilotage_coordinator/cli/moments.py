"""Times as people read them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pilotage_coordinator.cli.session import usage

_SPAN: Final = re.compile(r"(\d+)([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def since(text: str, now: datetime) -> datetime:
    """Read how far back to look: `90m`, `2h`, `7d`, a date, or an RFC 3339 time; without a zone, this machine's.

    Raises ValueError for anything else.
    """
    found = _SPAN.fullmatch(text)
    if found:
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.astimezone()


def ahead(text: str, now: datetime) -> datetime:
    """Read a time to come: `12h` or `14d` from now, a date, or an RFC 3339 time; without a zone, this machine's.

    Raises ValueError for anything else.
    """
    found = _SPAN.fullmatch(text)
    if found:
        return now + timedelta(**{_UNITS[found[2]]: int(found[1])})
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.astimezone()


def option_moment(option: str, text: str | None) -> datetime | None:
    """Read a time that was given for an option; raises NotUnderstood that names the option."""
    if text is None:
        return None
    try:
        return since(text, datetime.now(UTC))
    except ValueError as error:
        raise usage(f"{option} {text!r} is no time: 90m, 2h, 7d, a date or RFC 3339") from error


def parse(text: str) -> datetime | None:
    """Read an RFC 3339 time of the API; None for an empty one."""
    return datetime.fromisoformat(text) if text else None


def local(text: str) -> str:
    """Write a time of the API in the zone of this machine, to the second; empty stays empty."""
    moment = parse(text)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def seconds_between(start: str, end: str, now: datetime | None = None) -> float | None:
    """Return the seconds from one time to another (or to `now` while it is empty); None without a start."""
    began = parse(start)
    ended = parse(end) or now
    return (ended - began).total_seconds() if began and ended else None


def ago(text: str, now: datetime | None = None) -> str:
    """Write how long ago a time was: `12s ago`; empty stays empty."""
    passed = seconds_between(text, "", now or datetime.now(UTC))
    return f"{span(max(0.0, passed))} ago" if passed is not None else ""


def span(seconds: float) -> str:
    """Write a length of time in at most two units: `40ms`, `1.4s`, `12s`, `3m05s`, `2h10m`, `4d02h`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"
