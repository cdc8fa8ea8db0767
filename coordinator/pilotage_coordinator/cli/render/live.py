"""The board as a table that moves, for a terminal."""

from datetime import UTC, datetime

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pilotage_coordinator.cli.moments import seconds_between, span
from pilotage_coordinator.cli.render.board import Board, HostRow
from pilotage_coordinator.cli.screen import clean, state_style

MOST_ROWS = 20
_ORDER = {"unknown": 0, "failed": 0, "running": 1, "assigned": 2, "cancelling": 2}


def board_table(board: Board, now: datetime | None = None) -> Group:
    """Return the hosts that matter now, and a last line on the whole."""
    now = now or datetime.now(UTC)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for row in shown_rows(board):
        table.add_row(Text(clean(row.host), "bold"), *_cells(row, now))
    hidden = len(board.hosts) - min(len(board.hosts), MOST_ROWS)
    lasted = seconds_between(board.started_at, "", now)
    words = [board.state.replace("_", " "), span(lasted) if lasted else "", f"{hidden} more hosts" if hidden else ""]
    words += [f"gate {name}: pilotage run release" for name in board.gates]
    last = Text(" · ".join(clean(each) for each in words if each), state_style(board.state) or "cyan")
    return Group(table, last)


def shown_rows(board: Board) -> list[HostRow]:
    """Return the rows to show: troubled hosts first, then busy ones, then the rest, each by name."""
    rows = sorted(board.hosts.values(), key=lambda row: (0 if row.bad else _ORDER.get(row.state, 3), row.host))
    return sorted(rows[:MOST_ROWS], key=lambda row: row.host)


def _cells(row: HostRow, now: datetime) -> tuple[Text | Spinner, Text, Text | ProgressBar, Text]:
    busy = row.state in ("running", "assigned", "cancelling")
    lasted = seconds_between(row.since, "", now) if busy else None
    mark = Spinner("dots", style="cyan") if busy else Text(_mark(row), state_style(row.state))
    ended = f"{row.done} done" + (f", {row.bad} failed" if row.bad else "")
    said = clean(row.text)[:60] if busy else ended
    bar: Text | ProgressBar = Text("")
    if busy and row.fraction is not None:
        bar = ProgressBar(total=1.0, completed=min(1.0, max(0.0, row.fraction)), width=20)
    step = f"{row.step} {span(lasted)}" if lasted is not None else row.step
    return mark, Text(clean(step)), bar, Text(said, "dim")


def _mark(row: HostRow) -> str:
    if row.bad:
        return "✗"
    return "✓" if row.state in ("succeeded", "compensated", "skipped") else "·"
