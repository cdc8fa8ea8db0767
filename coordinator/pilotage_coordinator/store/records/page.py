"""One page of a listing."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row", covariant=True)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in the listing's order and where to go on.

    `cursor` is opaque and stays good while rows come and go; empty = this was the last page.
    """

    rows: tuple[Row, ...]
    cursor: str = ""
