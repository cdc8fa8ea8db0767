"""A line of text and how it looks."""

from typing import NamedTuple


class Line(NamedTuple):
    """A line and its style."""

    text: str
    style: str = ""
    passing: bool = False
    """It tells what a moving picture shows better."""
