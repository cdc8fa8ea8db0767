"""The blueprints that Pilotage ships, and the JSON Schema that editors check blueprints with. Data only."""

from collections.abc import Iterator
from importlib.resources import files

SCHEMA_FILE = "blueprint-1.schema.json"


def shipped() -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of every shipped blueprint file, by name."""
    folder = files(__name__) / "blueprints"
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.name.endswith(".yaml"):
            yield entry.name, entry.read_text("utf-8")


def editor_schema() -> str:
    """Return the JSON Schema of blueprint files, as text."""
    return (files(__name__) / SCHEMA_FILE).read_text("utf-8")
