"""An amount of hosts or items: a count, or a percentage of however many there are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """`number` of them, or `number` percent of them, rounded up and at least 1 (BLUEPRINTS: PERCENT)."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """Return how many of `total` this is. A plain count is not capped by `total`; 0 stays 0."""
        if not self.percent:
            return self.number
        if self.number == 0:
            return 0
        return max(1, -(-total * self.number // 100))

    def __str__(self) -> str:
        """Return the form that blueprints use: `5` or `25%`."""
        return f"{self.number}%" if self.percent else str(self.number)
