"""The table of docs/steps.md, made from the step types themselves.

Write it anew with `python -m tests.unit.plugins.reference`.
"""

from pathlib import Path
from typing import Any

from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_plugin_api.catalogue import Registered, load_catalogue
from pilotage_plugin_api.registration import docs_of, overrides

PAGE = Path(__file__).parents[3] / "docs" / "steps.md"
BEGIN = "<!-- made from the code: python -m tests.unit.plugins.reference -->"
END = "<!-- end of what is made from the code -->"
HEAD = "| step type | what it does | effect | preview | undo | probe | recover |\n|---|---|---|---|---|---|---|"


def table() -> str:
    """Return the table, one row for each built-in step type, by name."""
    known = load_catalogue().step_types
    builtin = {name: entry for name, entry in known.items() if entry.origin.distribution == "pilotage"}
    rows = {name: _row(entry) for name, entry in builtin.items()}
    for name, info in coordinator_types().items():
        properties: Any = info.params_schema["properties"]
        takes = ", ".join(f"`{parameter}`" for parameter in properties)
        rows[name] = f"| `{name}` | On the coordinator, not on a host; takes {takes}. | {info.effect} | – | – | – | – |"
    return "\n".join([BEGIN, HEAD, *(rows[name] for name in sorted(rows)), END])


def with_table(page: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{table()}{after}"


def _row(entry: Registered) -> str:
    kind = entry.step_type
    said = " ".join(docs_of(kind).split("\n\n")[0].split()).replace("|", "\\|")
    effect = " or ".join([kind.effect, *(f"{other}*" for other in sorted(kind.author_effects))])
    has = ["yes" if overrides(kind, method) else "–" for method in ("preview", "undo", "probe", "recover")]
    if kind.effect == "read":
        has[0] = "changes nothing"
    marked = f"`{kind.name}`{' †' if kind.destructive else ''}"
    return f"| {marked} | {said} | {effect} | {' | '.join(has)} |"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
