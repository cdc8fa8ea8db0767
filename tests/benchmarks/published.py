"""The report as Markdown, kept between two markers of a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.figure import HEADINGS, Report, cells

BEGIN = "<!-- figures: written by `make bench BENCH=--publish` -->"
END = "<!-- end of figures -->"


class NotPublishable(Exception):
    """The page has no place for the figures; the text says what it lacks."""


def markdown(machine: Mapping[str, str], parts: Sequence[Report], closing: str) -> str:
    """Return the machine's facts and a table for each part."""
    lines = [f"- {name}: {fact}" for name, fact in machine.items()]
    lines += [f"- {closing}", ""]
    for part in parts:
        lines += [f"### {part.title}", "", _row(HEADINGS), _row(("---", "---:", "---:", "---:", "---", "---"))]
        lines += [_row(cells(figure)) for figure in part.figures]
        lines += ["", *(f"- {fact}" for fact in part.facts)] if part.facts else []
        lines += ["", *(f"- **Wrong:** {wrong}" for wrong in part.wrong)] if part.wrong else []
        lines.append("")
    return "\n".join(lines)


def publish(page: Path, text: str) -> None:
    """Put a text between the markers of a page; raises NotPublishable, and changes nothing then."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NotPublishable(
            f"{page} lacks the line {BEGIN if not begin else END}, so there is no place for the figures"
        )
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def _row(columns: Sequence[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in columns) + " |"
