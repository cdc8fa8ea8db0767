"""What holds for every command."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The global options as given."""

    json: bool = False
    socket: Path | None = None
    url: str = ""
    context: str = ""
    token_file: Path | None = None
    ca: Path | None = None
