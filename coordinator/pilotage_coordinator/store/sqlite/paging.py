"""Cursors of listings, and bounds of what may be asked for at once."""

import base64
import binascii
import json

from pilotage_coordinator.store.errors import BadCursor, Refused

LARGEST_INTEGER = 2**63 - 1
"""The largest that a column holds."""


def bounded(limit: int, most: int) -> int:
    """Return `limit`; raises Refused unless it is 1 to `most`."""
    if not 1 <= limit <= most:
        raise Refused(f"limit {limit} is not between 1 and {most}")
    return limit


def write_cursor(listing: str, *position: str | int) -> str:
    """Return an opaque cursor: the last row that was given, of the listing of this name."""
    text = json.dumps([listing, *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(listing: str, cursor: str, start: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the position in a cursor, or `start` for an empty one; raises BadCursor for one of another listing."""
    if not cursor:
        return start
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _bad(cursor) from error
    if (
        not isinstance(found, list)
        or found[:1] != [listing]
        or [type(part) for part in found[1:]] != [type(part) for part in start]
    ):
        raise _bad(cursor)
    if any(isinstance(part, int) and abs(part) > LARGEST_INTEGER for part in found):
        raise _bad(cursor)
    return tuple(found[1:])


def _bad(cursor: str) -> BadCursor:
    return BadCursor(f"`{cursor[:40]}` is no cursor of this listing: begin again without one")
