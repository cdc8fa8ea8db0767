"""Lists as a caller may see them."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pilotage_coordinator.service.wire import PageRequest
from pilotage_coordinator.store import records

Row = TypeVar("Row")

MOST_READ: Final = 5_000
"""Rows that are looked at for one page; a page ends there, and the next goes on."""


async def shown(
    read: Callable[[str, int], Awaitable[records.Page[Row]]],
    request: PageRequest,
    seen: Callable[[Row], Awaitable[bool]] | None,
) -> tuple[list[Row], str]:
    """Return the rows of a page and the cursor of the next, without those that are not `seen` (None: all are).

    A page may be shorter than asked for, or empty, and yet have a next one.
    """
    page = await read(request.cursor, request.limit)
    if seen is None:
        return list(page.rows), page.cursor
    found = [row for row in page.rows if await seen(row)]
    looked_at = len(page.rows)
    while page.cursor and len(found) < request.limit and looked_at < MOST_READ:
        page = await read(page.cursor, request.limit - len(found))
        found += [row for row in page.rows if await seen(row)]
        looked_at += len(page.rows)
    return found, page.cursor
