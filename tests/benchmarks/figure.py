"""What a measurement found: figures with their ceilings and aims, printed as tables and kept as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `ceiling` was measured in the same run without product code; `aim` is what we want."""

    name: str
    value: float
    unit: str
    ceiling: float | None = None
    aim: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a share of the ceiling; for rates, higher is better."""
        return self.value / self.ceiling if self.ceiling else None


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one part; `facts` are what one must know to read them.

    `wrong`: what was found to be incorrect, not slow (a step that was lost, or begun twice): the whole run fails.
    """

    part: str
    title: str
    figures: Sequence[Figure]
    facts: Sequence[str] = field(default=())
    wrong: Sequence[str] = field(default=())

    def as_json(self) -> dict[str, object]:
        """Return it for the report file."""
        figures = [{**asdict(each), "ratio": each.ratio} for each in self.figures]
        return {
            "part": self.part,
            "title": self.title,
            "figures": figures,
            "facts": list(self.facts),
            "wrong": list(self.wrong),
        }


HEADINGS = ("figure", "measured", "ceiling", "ratio", "aim", "")


def cells(figure: Figure) -> tuple[str, ...]:
    """Return a figure as the cells of a row under HEADINGS."""
    ceiling = "" if figure.ceiling is None else number(figure.ceiling)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (figure.name, f"{number(figure.value)} {figure.unit}", ceiling, ratio, figure.aim, figure.note)


def show(report: Report, console: Console) -> None:
    """Print one part."""
    table = Table(title=report.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, side in zip(HEADINGS, ("left", "right", "right", "right", "left", "left"), strict=True):
        table.add_column(name, justify="right" if side == "right" else "left", style="dim" if not name else None)
    for figure in report.figures:
        table.add_row(*cells(figure))
    console.print()
    console.print(table)
    for fact in report.facts:
        console.print(f"  {fact}", style="dim")
    for wrong in report.wrong:
        console.print(f"  WRONG: {wrong}", style="bold red")


def number(value: float) -> str:
    """Return a number with three significant digits or as a whole one."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
