"""The board as a picture that moves, for a terminal: one line for each host, and a last one on the whole."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from rich.text import Text

from pilotage_coordinator.cli.moments import seconds_between, span
from pilotage_coordinator.cli.render.board import Active, Board, HostRow
from pilotage_coordinator.cli.screen import clean, shortened, state_style

MOST_ROWS = 20
BAR = 16
"""Columns of a progress bar."""
LEAST_TEXT = 12
"""Columns below which what a step says is left out."""
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS = 0.125
_GAP = "  "


def picture(board: Board, width: int, height: int, now: datetime | None = None) -> list[Text]:
    """Return the lines to show on a terminal of this size; none is wider, and together they leave room above."""
    now = now or datetime.now(UTC)
    rows = shown_rows(board, max(1, min(MOST_ROWS, height - 4)))
    hosts = max((len(clean(row.host)) for row in rows), default=0)
    host_width = min(hosts, max(8, width // 4))
    cells = [(row, _step(row), _elapsed(row, now)) for row in rows]
    # What is left beside host, mark, time, bar and gaps; the picture jumps less when the column never shrinks.
    board.step_width = max(board.step_width, *(len(step) for _, step, _ in cells), 0) if cells else board.step_width
    step_width = max(8, min(board.step_width, width - host_width - 12 - BAR // 2))
    lines = [_row_line(row, step, elapsed, host_width, step_width, width, now) for row, step, elapsed in cells]
    return [*lines, _last_line(board, len(rows), width, now)]


def shown_rows(board: Board, most: int = MOST_ROWS) -> list[HostRow]:
    """Return the rows to show by name: of too many, troubled hosts come first, then busy ones, then the rest."""
    rows = sorted(board.hosts.values(), key=lambda row: (_rank(row), row.host))
    return sorted(rows[:most], key=lambda row: row.host)


def _rank(row: HostRow) -> int:
    if row.bad:
        return 0
    return 1 if row.active else 2


def _row_line(
    row: HostRow, step: str, elapsed: str, host_width: int, step_width: int, width: int, now: datetime
) -> Text:
    line = Text(no_wrap=True)
    line.append(shortened(clean(row.host), host_width) + _GAP, "bold")
    line.append(_mark(row, now) + " ", "cyan" if row.active else state_style("failed" if row.bad else row.state))
    line.append(shortened(step, step_width, keep_end=True), "" if row.active else "dim")
    line.append(f" {elapsed:>6}", "dim")
    for text, style in _ending(row, width - line.cell_len - 1):
        line.append(text, style)
    line.truncate(width - 1, overflow="ellipsis")
    return line


def _ending(row: HostRow, room: int) -> Iterator[tuple[str, str]]:
    """Yield what stands behind the time: a bar and what the step says, or how many ended how."""
    if not row.active:
        yield f"{_GAP}{row.done} done", "dim"
        if row.bad:
            yield f", {row.bad} failed", "bold red"
        return
    active = next(iter(row.active.values()))
    if active.fraction is not None and room >= BAR + len(_GAP):
        full = round(BAR * min(1.0, max(0.0, active.fraction)))
        yield _GAP + "━" * full, "cyan"
        yield "─" * (BAR - full), "grey37"
        room -= BAR + len(_GAP)
    if active.text and room >= LEAST_TEXT:
        yield _GAP + clean(active.text), "dim"


def _last_line(board: Board, shown: int, width: int, now: datetime) -> Text:
    lasted = seconds_between(board.started_at, "", now)
    words = [board.state.replace("_", " "), span(lasted) if lasted else ""]
    hidden = len(board.hosts) - shown
    if hidden:
        kinds = Counter(_kind(row) for row in board.hosts.values())
        told = ", ".join(f"{kinds[kind]} {kind}" for kind in ("failed", "busy", "waiting", "well") if kinds[kind])
        words.append(f"{len(board.hosts)} hosts: {told} ({hidden} not shown)")
    words += [f"gate {name} waits: pilotage run release" for name in board.gates]
    words += [f"approval waits: pilotage approval show {request}" for request in board.approvals.values()]
    line = Text(" · ".join(clean(each) for each in words if each), state_style(board.state) or "cyan", no_wrap=True)
    line.truncate(width - 1, overflow="ellipsis")
    return line


def _kind(row: HostRow) -> str:
    if row.bad:
        return "failed"
    if row.active:
        return "busy"
    return "well" if row.done else "waiting"


def _step(row: HostRow) -> str:
    """Return what a host does, or did last; of several things at once, the first and how many more."""
    if not row.active:
        return clean(row.step or row.state)
    more = len(row.active) - 1
    return clean(next(iter(row.active))) + (f" +{more}" if more else "")


def _elapsed(row: HostRow, now: datetime) -> str:
    first: Active | None = next(iter(row.active.values()), None)
    lasted = seconds_between(first.since, "", now) if first is not None else None
    return span(max(0.0, lasted)) if lasted is not None else ""


def _mark(row: HostRow, now: datetime) -> str:
    if row.active:
        return _FRAMES[int(now.timestamp() / _FRAME_SECONDS) % len(_FRAMES)]
    if row.bad:
        return "✗"
    return "✓" if row.state in ("succeeded", "compensated", "skipped") else "·"
