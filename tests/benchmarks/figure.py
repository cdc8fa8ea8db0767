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
    """All figures of one part; `facts` are what one must know to read them."""

    part: str
    title: str
    figures: Sequence[Figure]
    facts: Sequence[str] = field(default=())

    def as_json(self) -> dict[str, object]:
        """Return it for the report file."""
        figures = [{**asdict(each), "ratio": each.ratio} for each in self.figures]
        return {"part": self.part, "title": self.title, "figures": figures, "facts": list(self.facts)}


def show(report: Report, console: Console) -> None:
    """Print one part."""
    table = Table(title=report.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("figure")
    for name in ("measured", "ceiling", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("aim")
    table.add_column("", style="dim")
    for figure in report.figures:
        ceiling = "" if figure.ceiling is None else number(figure.ceiling)
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.name, f"{number(figure.value)} {figure.unit}", ceiling, ratio, figure.aim, figure.note)
    console.print()
    console.print(table)
    for fact in report.facts:
        console.print(f"  {fact}", style="dim")


def number(value: float) -> str:
    """Return a number with three significant digits or as a whole one."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
