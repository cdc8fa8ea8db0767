"""What names a step run inside its execution."""

from typing import NamedTuple


class RunKey(NamedTuple):
    """One step on one host and item. `host` is empty for a step on the coordinator outside groups."""

    path: str
    host: str = ""
    item: str = ""

    def __str__(self) -> str:
        """Return the form that people read: `protect/volumes on db1 [pgdata]`."""
        text = self.path
        if self.host:
            text += f" on {self.host}"
        if self.item:
            text += f" [{self.item}]"
        return text
