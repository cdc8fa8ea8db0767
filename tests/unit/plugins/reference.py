"""The table of docs/steps.md, and the whole of docs/parameters.md, made from the step types themselves.

Write them anew with `python -m tests.unit.plugins.reference`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pilotage_coordinator.steps.catalogue import coordinator_types
from pilotage_plugin_api.catalogue import Registered, load_catalogue
from pilotage_plugin_api.registration import docs_of, overrides

DOCS: Final = Path(__file__).parents[3] / "docs"
PAGE: Final = DOCS / "steps.md"
PARAMETERS: Final = DOCS / "parameters.md"
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


def parameters() -> str:
    """Return the page with the parameters and outputs of every built-in step type, by name."""
    schemas: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        name: (entry.step_type.Params.model_json_schema(), entry.step_type.Outputs.model_json_schema())
        for name, entry in load_catalogue().step_types.items()
        if entry.origin.distribution == "pilotage"
    }
    schemas |= {name: (info.params_schema, info.outputs_schema) for name, info in coordinator_types().items()}
    sections = [_section(name, *schemas[name]) for name in sorted(schemas)]
    return "\n".join([INTRODUCTION, *sections])


INTRODUCTION: Final = f"""# Parameters of the step types

{BEGIN}

What each step type of [docs/steps.md](steps.md) takes and gives. A duration is `10s`, `5m`, `1h30m`; a
size `10GiB`; a secret is `secret://NAME`. `pilotage host show HOST` tells which of the types a host can run.
"""


def _section(name: str, params: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    lines = [f"## {name}", ""]
    rows = list(_parameters(params))
    if rows:
        lines += ["| parameter | kind | default | meaning |", "|---|---|---|---|", *rows, ""]
    if given := ", ".join(f"`{each}`" for each in outputs.get("properties", {})):
        lines += [f"Outputs: {given}.", ""]
    return "\n".join(lines)


def _parameters(schema: Mapping[str, Any]) -> Iterator[str]:
    needed = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        default = "required" if name in needed else _default(one.get("default"))
        meaning = " ".join(str(_deep(schema, one).get("description", "")).split())
        cells = (f"`{name}`", _kind(schema, one), default, meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:
    """Write a default as people would: durations as blueprints have them, nothing for none."""
    if value is None:
        return "–"
    parts = re.fullmatch(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", str(value))
    if parts and value != "P":
        written = "".join(f"{number}{unit}" for number, unit in zip(parts.groups(), "dhms", strict=True) if number)
        return f"`{written}`"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _deep(schema: Mapping[str, Any], one: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference points to, with what stands beside the reference."""
    if "$ref" not in one:
        return one
    return {**schema["$defs"][one["$ref"].rpartition("/")[2]], **one}


def _kind(schema: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """Say in a word or two what a value is."""
    one = _deep(schema, one)
    if choices := one.get("enum"):
        return ", ".join(f"`{each}`" for each in choices)
    if "const" in one:
        return f"`{one['const']}`"
    if alternatives := [each for each in one.get("anyOf", ()) if each.get("type") != "null"]:
        kinds = dict.fromkeys(_kind(schema, each) for each in alternatives)
        return "duration" if set(kinds) == {"duration", "number"} else " or ".join(kinds)
    if one.get("format") == "pilotage-secret":
        return "secret"
    if "ms|s|m|h|d|w" in str(one.get("pattern", "")):
        return "duration"
    if one.get("type") == "array":
        return f"list of {_kind(schema, one.get('items', {}))}"
    return {"string": "text", "object": "map", "": "anything"}.get(str(one.get("type", "")), str(one.get("type")))


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
    PARAMETERS.write_text(parameters())
