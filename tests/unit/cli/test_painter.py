"""A picture that is drawn again and again leaves no trace of itself, whatever is done to the terminal."""

import io
import re

import pytest
from pilotage_coordinator.cli.painter import Painter
from rich.console import Console
from rich.text import Text


class Screenful:
    """As much of a terminal as a painter uses; it folds lines anew when it is resized, as today's terminals do."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[str] = [""]
        self.row = 0
        self.modes: list[str] = []
        """What was switched on and off, such as the cursor."""

    def write(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[^\x1b]+", text):
            if part.endswith("A") and part.startswith("\x1b["):
                self._up(int(part[2:-1]))
            elif part == "\x1b[J":
                del self.lines[self.row :]
                self.lines.append("")
            elif part.startswith("\x1b["):
                self.modes.append(part)
            else:
                for character in part:
                    self._put(character)

    def rows(self) -> list[str]:
        """Return what is seen."""
        return [row for line in self.lines for row in self._folded(line)]

    def _put(self, character: str) -> None:
        if character == "\n":
            self.lines.append("")
            self.row = len(self.lines) - 1
        elif character != "\r":
            self.lines[-1] += character

    def _up(self, rows: int) -> None:
        while rows > 0:
            self.row -= 1
            rows -= len(self._folded(self.lines[self.row]))
        assert rows == 0, "the cursor stands in the middle of a line"

    def _folded(self, line: str) -> list[str]:
        return [line[at : at + self.width] for at in range(0, len(line), self.width)] or [""]


class Terminal(io.StringIO):
    """The file of a console."""

    def __init__(self, screenful: Screenful) -> None:
        super().__init__()
        self.screenful = screenful

    def write(self, text: str) -> int:
        self.screenful.write(text)
        return len(text)


@pytest.fixture
def screenful() -> Screenful:
    return Screenful(40)


@pytest.fixture
def console(screenful: Screenful) -> Console:
    return Console(file=Terminal(screenful), force_terminal=True, width=40, height=20, highlight=False, no_color=True)


def test_lines_stay_above_and_the_picture_is_there_once(screenful: Screenful, console: Console) -> None:
    with Painter(console) as painter:
        for number in range(5):
            painter.paint([Text(f"line {number}")], [Text(f"db1 {number}"), Text("running")])
        assert screenful.rows() == [*(f"line {number}" for number in range(5)), "db1 4", "running", ""]
    assert screenful.rows() == [*(f"line {number}" for number in range(5)), ""]


@pytest.mark.parametrize("narrow", [30, 13, 7])
def test_a_terminal_that_was_made_narrower_keeps_no_part_of_an_older_picture(
    screenful: Screenful, console: Console, narrow: int
) -> None:
    with Painter(console) as painter:
        painter.paint([Text("begun")], [Text("x" * 39), Text("y" * 26)])
        screenful.width = narrow
        console.width = narrow
        painter.paint([], [Text("z" * (narrow - 1))])
        assert "".join(screenful.rows()) == "begun" + "z" * (narrow - 1)


def test_an_interruption_leaves_no_picture_and_gives_the_cursor_back(screenful: Screenful, console: Console) -> None:
    def interrupted() -> None:
        with Painter(console) as painter:
            painter.paint([Text("begun")], [Text("db1")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert screenful.rows() == ["begun", ""]
    assert screenful.modes[-1] == "\x1b[?25h"
