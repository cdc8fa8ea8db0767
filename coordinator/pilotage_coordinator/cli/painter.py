"""A picture at the bottom of a terminal that is drawn again and again, with lines that go above it and stay."""

import os
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.text import Text

_HIDE_CURSOR = "\x1b[?25l"
_SHOW_CURSOR = "\x1b[?25h"
_BEGIN_FRAME = "\x1b[?2026h"
_END_FRAME = "\x1b[?2026l"
"""Terminals that know synchronised output draw a frame at once; others ignore both."""


class Painter:
    """Draws on a terminal while it is entered; leaving wipes the picture and keeps what went above it.

    What was drawn is measured anew for each frame: a terminal that was made narrower has folded it into more rows.
    """

    def __init__(self, console: Console) -> None:
        """Take the console of a terminal, on which nothing else writes meanwhile."""
        self._console = console
        self._drawn: list[int] = []

    def __enter__(self) -> "Painter":
        self._console.file.write(_HIDE_CURSOR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.paint((), ())
        self._console.file.write(_SHOW_CURSOR)
        self._console.file.flush()

    @property
    def size(self) -> tuple[int, int]:
        """Return the columns and rows of the terminal as they are now."""
        return self._console.width, self._console.height

    def paint(self, above: Sequence[Text], picture: Sequence[Text]) -> None:
        """Replace the picture; `above` goes before it and is never touched again. One write, so nothing flickers."""
        with self._console.capture() as captured:
            for line in above:
                self._console.print(line, soft_wrap=True)
            for line in picture:
                self._console.print(line, no_wrap=True, crop=True)
        text = _BEGIN_FRAME + self._wipe() + captured.get() + _END_FRAME
        self._drawn = [line.cell_len for line in picture]
        self._console.file.write(text)
        self._console.file.flush()

    def _wipe(self) -> str:
        width, height = self.size
        rows = sum(max(1, -(-cells // max(1, width))) for cells in self._drawn)
        rows = min(rows, height - 1)
        return f"\r\x1b[{rows}A\x1b[J" if rows else "\r\x1b[J" if self._drawn else ""


def can_move(console: Console) -> bool:
    """Return whether pictures can be drawn there: a terminal that knows how to move its cursor."""
    return console.is_terminal and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
