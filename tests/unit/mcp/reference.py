"""The reference part of docs/mcp.md, made from the tools themselves.

`python -m tests.unit.mcp.reference` writes it anew; a test compares.
"""

from pathlib import Path
from typing import Final

from pilotage_coordinator.mcp.catalogue import TOOLS, WITHOUT
from pilotage_coordinator.mcp.tool import Tool
from pilotage_coordinator.mcp.toolset import Toolset
from pilotage_coordinator.service.operations import OPERATIONS

PAGE: Final = Path(__file__).parents[3] / "docs" / "mcp.md"
BEGIN: Final = "<!-- reference: made by `python -m tests.unit.mcp.reference`; change the tools, not this part -->\n"


def page(text: str) -> str:
    """Return the page with its reference made anew."""
    return text.partition(BEGIN)[0] + BEGIN + "\n" + reference()


def reference() -> str:
    """Return a table of tools for each toolset, and what has no tool."""
    lines = ["## The tools", ""]
    for toolset in Toolset:
        found = [each for each in TOOLS.values() if each.toolset is toolset]
        if found:
            lines += [f"### {toolset.value}", "", "| tool | does | arguments | needs | |", "|---|---|---|---|---|"]
            lines += [_row(each) for each in found] + [""]
    lines += [
        "*reads*: changes nothing; *destructive*: may change or end what runs; *idempotent*: the same call again",
        "changes nothing more; *open*: what hosts do is part of it. A permission in brackets is used where it is held.",
        "",
        "## What has no tool",
        "",
        "| operation | why |",
        "|---|---|",
        *(f"| {name} | {why} |" for name, why in WITHOUT.items()),
        "",
    ]
    return "\n".join(lines)


def _row(tool: Tool) -> str:
    hints = [
        *(["reads"] if tool.read_only else []),
        *(["destructive"] if tool.destructive else []),
        *(["idempotent"] if tool.idempotent and not tool.read_only else []),
        *(["open"] if tool.open_world else []),
    ]
    arguments = ", ".join(
        f"`{name}`" if field.is_required() else f"[`{name}`]" for name, field in tool.request.model_fields.items()
    )
    needs = sorted({OPERATIONS[each].permission for each in tool.operations})
    also = sorted({OPERATIONS[each].permission for each in tool.also} - set(needs))
    permissions = ", ".join([*needs, *(f"[{each}]" for each in also)])
    first = tool.description.partition("\n")[0]
    return f"| `{tool.name}` | {first} | {arguments or '—'} | {permissions} | {', '.join(hints)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
