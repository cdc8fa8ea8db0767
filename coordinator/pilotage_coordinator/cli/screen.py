"""Where a command writes: answers to standard output, everything else to standard error.

Texts from hosts and blueprints are data: control characters are shown, never sent to the terminal.
"""

import codecs
import io
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

WIDE = 400
"""Columns where there is no terminal: nothing is cut for a file or a pipe."""
NARROWEST = 16
"""A last column of a table is not made narrower than this; what is still too long is left to the terminal."""


@dataclass(slots=True)
class Screen:
    """The two streams of a command. `json`: answer in JSON and say nothing else there."""

    out: Console
    err: Console
    json: bool
    interactive: bool
    """A person can be asked and shown moving things."""

    @classmethod
    def of_process(cls, *, json: bool) -> "Screen":
        """Return the screen of this process."""
        codecs.register_error(_SUBSTITUTE, _substitute)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors=_SUBSTITUTE)
        interactive = sys.stdin.isatty() and sys.stderr.isatty() and not json
        return cls(console(sys.stdout), console(sys.stderr), json, interactive)

    @property
    def columns(self) -> int:
        """Return how long a line of the answer may be: as wide as the terminal, or as long as it likes in a file."""
        return self.out.width if self.out.is_terminal else WIDE

    def object(self, value: Any) -> None:
        """Write one JSON value: indented for a person, on one line for a program."""
        indent = 2 if self.out.is_terminal else None
        self._raw(json.dumps(value, indent=indent, ensure_ascii=not self.out.is_terminal))

    def line_object(self, value: Any) -> None:
        """Write one JSON value on a line of its own, at once."""
        self._raw(json.dumps(value))
        self.out.file.flush()

    def error_object(self, value: Any) -> None:
        """Write one JSON value to standard error."""
        self.err.file.write(json.dumps(value) + "\n")

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line."""
        self.out.print(Text(clean(text), style), soft_wrap=True)

    def folded(self, text: str, style: str = "") -> None:
        """Write a line; on a terminal, what is too long goes on below, further in, and is broken between words."""
        self.line("\n".join(fold(text, self.columns)) if self.out.is_terminal else text, style)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
        """Write a table, or what to say when there are no rows.

        On a terminal, a last column that is too long goes on below, in its place.
        """
        if not rows:
            self.err.print(Text(empty, "dim"))
            return
        cells = [[clean(cell).replace("\n", " ") for cell in row] for row in [columns, *rows]]
        widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
        before = sum(width + 2 for width in widths[:-1])
        room = max(self.columns - before, NARROWEST) if self.out.is_terminal else widths[-1]
        for number, row in enumerate(cells):
            line = Text()
            for cell, width in zip(row[:-1], widths, strict=False):
                line.append(cell.ljust(width + 2), "bold" if number == 0 else state_style(cell))
            last = _in_column(row[-1], room)
            line.append(("\n" + " " * before).join(last), "bold" if number == 0 else state_style(row[-1]))
            line.rstrip()
            self.out.print(line, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """Tell a person something beside the answer."""
        self.err.print(Text(clean(text), style), soft_wrap=True)

    def error(self, text: str) -> None:
        """Tell what went wrong."""
        self.err.print(Text.assemble(("error: ", "bold red"), clean(text)), soft_wrap=True)

    def error_line(self, text: str) -> None:
        """Tell one more thing that is wrong."""
        self.err.print(Text(clean(text)), soft_wrap=True)

    def hint(self, text: str) -> None:
        """Tell what to do."""
        self.err.print(Text.assemble(("→ ", "cyan"), clean(text)), soft_wrap=True)

    def _raw(self, text: str) -> None:
        self.out.file.write(text + "\n")


def console(stream: TextIO) -> Console:
    """Return a console without markup, emoji or guesses; with colour on a terminal only."""
    terminal = stream.isatty()
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if terminal else WIDE,
        no_color=bool(os.environ.get("NO_COLOR")) or not terminal,
        force_terminal=terminal,
    )


def clean(text: str) -> str:
    """Return a text whose control characters are visible and harmless; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else _visible(each) for each in text)


def fold(text: str, columns: int) -> list[str]:
    """Return a line in parts of at most `columns`, the later ones further in than the first; words stay whole.

    A line with a word that fits nowhere is left to the terminal.
    """
    longest = max(map(len, text.split()), default=0)
    if len(text) <= columns or longest > columns - len(text) + len(text.lstrip()) - 4:
        return [text]
    inner = " " * min(len(text) - len(text.lstrip()) + 4, columns // 2)
    wrapper = textwrap.TextWrapper(columns, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False)
    wrapper.drop_whitespace = True
    lead = text[: len(text) - len(text.lstrip())]
    wrapper.initial_indent = lead
    return wrapper.wrap(text.lstrip())


def _in_column(cell: str, width: int) -> list[str]:
    """Return a cell in lines of at most `width`; words stay whole."""
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def shortened(text: str, width: int, *, keep_end: bool = False) -> str:
    """Return a text of exactly `width` characters; of a longer one the beginning stays, or the end."""
    if len(text) <= width:
        return text.ljust(width)
    return "…" + text[len(text) - width + 1 :] if keep_end else text[: width - 1] + "…"


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Stand in for what a terminal's or file's encoding does not have."""
    assert isinstance(error, UnicodeEncodeError)
    wanted = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each, f"\\u{ord(each):04x}") for each in wanted), error.end


def _visible(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_SUBSTITUTE = "pilotage.substitute"
_PLAIN = {
    "━": "=", "─": "-", "—": "-", "–": "-", "✓": "v", "✗": "x", "▸": ">", "·": ".", "■": "#", "↩": "<", "…": "...",
    "→": "->", "×": "x", "≤": "<=", "≥": ">=",
}  # fmt: skip

_STYLES = {
    "succeeded": "green",
    "completed": "green",
    "online": "green",
    "ok": "green",
    "compensated": "yellow",
    "rolled_back": "yellow",
    "warning": "yellow",
    "cancelled": "yellow",
    "not_run": "yellow",
    "offline": "yellow",
    "paused": "yellow",
    "waiting_approval": "yellow",
    "skipped": "dim",
    "pending": "dim",
    "running": "cyan",
    "failed": "bold red",
    "failure": "bold red",
    "unknown": "bold magenta",
    "needs_attention": "bold magenta",
    "quarantined": "bold red",
    "revoked": "red",
    "compensation_failed": "bold red",
    "rollback_incomplete": "bold red",
}


def state_style(state: str) -> str:
    """Return the style of a state's name; of any other text, none."""
    return _STYLES.get(state, "")
